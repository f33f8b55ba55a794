// y = x w^T + b and its gradients by Eigen's matrix product, in f32 or f64; bf16 by way of f32.
#include "kernels/linear.h"

#include <Eigen/Core>
#include <type_traits>
#include <vector>

namespace ito::kernels {
namespace {

template <class T>
using View = Eigen::Map<Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>>;
template <class T>
using ConstView = Eigen::Map<const Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>>;

void check(int m, int in, int out) {
  if (m < 1 || in < 1 || out < 1)
    fail(cat("linear: sizes must be positive, got M = ", m, ", I = ", in, ", O = ", out));
}

/// An operand of type T as a matrix of arithmetic_t<T>: itself, or a widened copy.
template <class T>
class Widened {
 public:
  using A = arithmetic_t<T>;
  Widened(const T* data, int rows, int columns) : data_(nullptr), rows_(rows), columns_(columns) {
    if constexpr (std::is_same_v<T, A>) {
      data_ = data;
    } else {
      copy_.resize(size_t(rows) * columns);
      for (size_t i = 0; i < copy_.size(); ++i) copy_[i] = A(data[i]);
      data_ = copy_.data();
    }
  }
  ConstView<A> matrix() const { return {data_, rows_, columns_}; }

 private:
  const A* data_;
  int rows_, columns_;
  std::vector<A> copy_;
};

/// to = product, rounded once if T is narrower than what it was computed in.
template <class T, class Product>
void assign(T* to, int rows, int columns, const Product& product) {
  using A = arithmetic_t<T>;
  if constexpr (std::is_same_v<T, A>) {
    View<A>(to, rows, columns).noalias() = product;
  } else {
    std::vector<A> wide(size_t(rows) * columns);
    View<A>(wide.data(), rows, columns).noalias() = product;
    for (size_t i = 0; i < wide.size(); ++i) to[i] = T(wide[i]);
  }
}

}  // namespace

size_t linear_workspace_bytes(CpuStream&, int, int, int, DType, ConvPass) { return 0; }

void linear_forward(CpuStream&, int m, int in, int out, In x, In w, In bias, In residual, Out y, Out) {
  check(m, in, out);
  visit(x.dtype, [&](auto t) {
    using T = decltype(t);
    using A = arithmetic_t<T>;
    const Widened<T> wide_x(x.as<T>(), m, in);
    Eigen::Matrix<A, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor> sum(m, out);
    sum.noalias() = wide_x.matrix() * ConstView<A>(w.as<A>(), out, in).transpose();
    if (bias) sum.rowwise() += Eigen::Map<const Eigen::Matrix<A, 1, Eigen::Dynamic>>(bias.as<A>(), out);
    if (residual) sum += Widened<T>(residual.as<T>(), m, out).matrix();
    T* const to = y.as<T>();
    for (Eigen::Index i = 0; i < sum.size(); ++i) to[i] = T(sum.data()[i]);
  });
}

void linear_backward_data(CpuStream&, int m, int in, int out, In dy, In w, Out dx, Out) {
  check(m, in, out);
  visit(dy.dtype, [&](auto t) {
    using T = decltype(t);
    using A = arithmetic_t<T>;
    const Widened<T> wide_dy(dy.as<T>(), m, out);
    assign(dx.as<T>(), m, in, wide_dy.matrix() * ConstView<A>(w.as<A>(), out, in));
  });
}

void linear_backward_weights(CpuStream&, int m, int in, int out, In dy, In x, Out dw, Out dbias, Out) {
  check(m, in, out);
  visit(x.dtype, [&](auto t) {
    using T = decltype(t);
    using A = arithmetic_t<T>;
    const Widened<T> wide_dy(dy.as<T>(), m, out), wide_x(x.as<T>(), m, in);
    View<A>(dw.as<A>(), out, in).noalias() = wide_dy.matrix().transpose() * wide_x.matrix();
    if (dbias) {
      Eigen::Map<Eigen::Matrix<A, 1, Eigen::Dynamic>>(dbias.as<A>(), out) = wide_dy.matrix().colwise().sum();
    }
  });
}

}  // namespace ito::kernels
