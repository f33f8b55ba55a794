#include "kernels/attention.h"

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/base/math.h"
#include "kernels/base/vector_math.h"
#include "kernels/parallel.h"

namespace ito::kernels {
namespace {

/// Queries whose rows of scores are held at a time, and the most parts the backward pass divides the queries
/// into.
constexpr int kQueries = 64, kMaxParts = 4;

template <class A>
using Matrix = Eigen::Matrix<A, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
/// A head's rows inside [T,C]: D columns, C apart.
template <class A>
using Rows = Eigen::Map<Matrix<A>, 0, Eigen::OuterStride<>>;
template <class A>
using ConstRows = Eigen::Map<const Matrix<A>, 0, Eigen::OuterStride<>>;

/// The f32 copies of bf16 operands, results in f32 before they are rounded, and the parts of dk and dv.
template <class A>
struct AttentionScratch {
  std::vector<A> copies[7], parts;
};

/// A tensor as numbers of type A: itself, or a bf16 one's copy in f32.
template <class T, class A>
const A* as_arithmetic(CpuStream& stream, const T* x, int64_t count, std::vector<A>& copy) {
  if constexpr (std::is_same_v<T, A>) {
    return x;
  } else {
    copy.resize(std::max(copy.size(), size_t(count)));
    A* to = copy.data();
    parallel_pieces(stream, count, [=](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) to[i] = A(x[i]);
    });
    return to;
  }
}

/// Where a result of type T is computed: in place, or in a copy that `narrow` rounds.
template <class T, class A>
A* arithmetic_result(T* y, int64_t count, std::vector<A>& copy) {
  if constexpr (std::is_same_v<T, A>) {
    return y;
  } else {
    copy.resize(std::max(copy.size(), size_t(count)));
    return copy.data();
  }
}

template <class T, class A>
void narrow(CpuStream& stream, const A* from, int64_t count, T* y) {
  if constexpr (!std::is_same_v<T, A>) {
    parallel_pieces(stream, count, [=](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) y[i] = T(from[i]);
    });
  }
}

/// Turns a row of q.k into e^(s - max) and returns the row's sum; *lse = max + ln sum, of scaled scores s.
template <class A>
A exponentiate(A* __restrict row, int count, A scale, A* lse) {
  const Eigen::Map<const Eigen::Array<A, Eigen::Dynamic, 1>> numbers(row, count);
  const A largest = numbers.maxCoeff();
  for (int i = 0; i < count; ++i) {
    const A score = (row[i] - largest) * scale;
    row[i] = exp_clamped(score) + A(0) * score;  // NaN stays NaN
  }
  const A sum = numbers.sum();
  *lse = largest * scale + std::log(sum);
  return sum;
}

template <class A>
void forward(CpuStream& stream, const AttentionDims& d, const A* q, const A* k, const A* v, A* y, A* lse) {
  const int width = d.head_width();
  const int64_t blocks = div_up<int64_t>(d.tokens, kQueries);
  const A scale = A(1) / std::sqrt(A(width));
  parallel_each(stream, int64_t(d.n) * d.heads * blocks, [&](int64_t task) {
    const int64_t head = task / blocks;  // of all samples
    const int begin = int(task % blocks) * kQueries, rows = std::min(kQueries, d.tokens - begin);
    const int64_t at = head / d.heads * d.tokens * d.channels + head % d.heads * width;
    const int64_t query = at + int64_t(begin) * d.channels;
    const Eigen::OuterStride<> stride(d.channels);
    Matrix<A> scores(rows, d.tokens);
    scores.noalias() = ConstRows<A>(q + query, rows, width, stride) *
                       ConstRows<A>(k + at, d.tokens, width, stride).transpose();
    Eigen::Array<A, Eigen::Dynamic, 1> inverse(rows);
    for (int i = 0; i < rows; ++i) {
      inverse[i] =
          A(1) / exponentiate<A>(scores.row(i).data(), d.tokens, scale, lse + head * d.tokens + begin + i);
    }
    Rows<A> result(y + query, rows, width, stride);
    result.noalias() = scores * ConstRows<A>(v + at, d.tokens, width, stride);
    result.array().colwise() *= inverse;
  });
}

/// What every task of the backward pass reads, and the dq that it writes its rows of.
template <class A>
struct Operands {
  const A *dy, *q, *k, *v, *lse;
  A* dq;
};

/// The contribution of queries [begin, begin + rows) of a head: their dq, and their share of dk and dv,
/// added.
template <class A>
void backward_block(const AttentionDims& d, const Operands<A>& o, int64_t head, int begin, int rows,
                    Eigen::Map<Matrix<A>> dk, Eigen::Map<Matrix<A>> dv) {
  const int width = d.head_width();
  const A scale = A(1) / std::sqrt(A(width));
  const int64_t at = head / d.heads * d.tokens * d.channels + head % d.heads * width;
  const int64_t query = at + int64_t(begin) * d.channels;
  const Eigen::OuterStride<> stride(d.channels);
  const ConstRows<A> q(o.q + query, rows, width, stride), dy(o.dy + query, rows, width, stride);
  const ConstRows<A> k(o.k + at, d.tokens, width, stride), v(o.v + at, d.tokens, width, stride);
  Matrix<A> p(rows, d.tokens), ds(rows, d.tokens);
  p.noalias() = q * k.transpose();
  ds.noalias() = dy * v.transpose();
  for (int i = 0; i < rows; ++i) {
    const A lse = o.lse[head * d.tokens + begin + i];
    A* __restrict row = p.row(i).data();
    for (int j = 0; j < d.tokens; ++j) {
      const A score = row[j] * scale - lse;
      row[j] = exp_clamped(score) + A(0) * score;
    }
    const A delta = p.row(i).dot(ds.row(i));
    A* __restrict gradient = ds.row(i).data();
    for (int j = 0; j < d.tokens; ++j) gradient[j] = row[j] * (gradient[j] - delta) * scale;
  }
  Rows<A>(o.dq + query, rows, width, stride).noalias() = ds * k;
  dk.noalias() += ds.transpose() * q;
  dv.noalias() += p.transpose() * dy;
}

template <class A>
void backward(CpuStream& stream, const AttentionDims& d, const Operands<A>& o, A* dk, A* dv,
              std::vector<A>& scratch) {
  const int width = d.head_width();
  const int64_t blocks = div_up<int64_t>(d.tokens, kQueries), parts = std::min<int64_t>(blocks, kMaxParts);
  const int64_t heads = int64_t(d.n) * d.heads, size = int64_t(d.tokens) * width;
  scratch.resize(std::max(scratch.size(), size_t(heads * parts * 2 * size)));
  const auto part = [&](int64_t task, int which) {
    return Eigen::Map<Matrix<A>>(scratch.data() + (task * 2 + which) * size, d.tokens, width);
  };
  parallel_each(stream, heads * parts, [&](int64_t task) {
    const int64_t head = task / parts, index = task % parts;
    part(task, 0).setZero(), part(task, 1).setZero();
    for (int64_t block = blocks * index / parts; block < blocks * (index + 1) / parts; ++block) {
      const int begin = int(block) * kQueries;
      backward_block<A>(d, o, head, begin, std::min(kQueries, d.tokens - begin), part(task, 0),
                        part(task, 1));
    }
  });
  parallel_each(stream, heads, [&](int64_t head) {
    const int64_t at = head / d.heads * d.tokens * d.channels + head % d.heads * width;
    A* results[2] = {dk + at, dv + at};
    for (int which = 0; which < 2; ++which) {
      Rows<A> sum(results[which], d.tokens, width, Eigen::OuterStride<>(d.channels));
      sum = part(head * parts, which);
      for (int64_t i = 1; i < parts; ++i) sum += part(head * parts + i, which);
    }
  });
}

}  // namespace

void check_attention(const AttentionDims& d) {
  if (d.n < 1 || d.tokens < 1 || d.heads < 1 || d.channels < 1 || d.channels % d.heads != 0)
    fail(cat("attention: ", d.n, " samples, ", d.tokens, " tokens, ", d.channels, " channels, ", d.heads,
             " heads; all must be positive and the channels a multiple of the heads"));
}

void attention_forward(CpuStream& stream, const AttentionDims& d, const AttentionInputs& in, Out y, Out lse) {
  check_attention(d);
  visit(in.q.dtype, [&](auto t) {
    using T = decltype(t);
    using A = arithmetic_t<T>;
    auto& copies = stream.state<AttentionScratch<A>>().copies;
    const int64_t count = int64_t(d.n) * d.tokens * d.channels;
    const A* qs = as_arithmetic(stream, in.q.as<T>(), count, copies[0]);
    const A* ks = as_arithmetic(stream, in.k.as<T>(), count, copies[1]);
    const A* vs = as_arithmetic(stream, in.v.as<T>(), count, copies[2]);
    A* ys = arithmetic_result(y.as<T>(), count, copies[3]);
    forward<A>(stream, d, qs, ks, vs, ys, lse.as<A>());
    narrow(stream, ys, count, y.as<T>());
  });
}

void attention_backward(CpuStream& stream, const AttentionDims& d, const AttentionInputs& in, In dy, In,
                        In lse, const AttentionGradients& out) {
  check_attention(d);
  visit(in.q.dtype, [&](auto t) {
    using T = decltype(t);
    using A = arithmetic_t<T>;
    auto& scratch = stream.state<AttentionScratch<A>>();
    auto& copies = scratch.copies;
    const int64_t count = int64_t(d.n) * d.tokens * d.channels;
    const Operands<A> operands{.dy = as_arithmetic(stream, dy.as<T>(), count, copies[0]),
                               .q = as_arithmetic(stream, in.q.as<T>(), count, copies[1]),
                               .k = as_arithmetic(stream, in.k.as<T>(), count, copies[2]),
                               .v = as_arithmetic(stream, in.v.as<T>(), count, copies[3]),
                               .lse = lse.as<A>(),
                               .dq = arithmetic_result(out.dq.as<T>(), count, copies[4])};
    A* dk = arithmetic_result(out.dk.as<T>(), count, copies[5]);
    A* dv = arithmetic_result(out.dv.as<T>(), count, copies[6]);
    backward<A>(stream, d, operands, dk, dv, scratch.parts);
    narrow(stream, operands.dq, count, out.dq.as<T>());
    narrow(stream, dk, count, out.dk.as<T>());
    narrow(stream, dv, count, out.dv.as<T>());
  });
}

}  // namespace ito::kernels
