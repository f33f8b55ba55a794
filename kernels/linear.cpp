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

/// An operand of type T as a matrix of arithmetic_t<T>: itself, or a converted copy.
template <class T>
class Converted {
 public:
  using A = arithmetic_t<T>;
  Converted(const T* data, int rows, int columns) : data_(nullptr), rows_(rows), columns_(columns) {
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
    std::vector<A> sums(size_t(rows) * columns);
    View<A>(sums.data(), rows, columns).noalias() = product;
    for (size_t i = 0; i < sums.size(); ++i) to[i] = T(sums[i]);
  }
}

}  // namespace

void check_linear(const LinearDims& d) {
  if (d.m < 1 || d.in < 1 || d.out < 1)
    fail(cat("linear: sizes must be positive, got M = ", d.m, ", I = ", d.in, ", O = ", d.out));
}

size_t linear_workspace_bytes(CpuStream&, const ConvPolicy&, const LinearDims&, DType, ConvPass) { return 0; }

void linear_forward(CpuStream&, const ConvPolicy&, const LinearDims& d, const LinearForward& o) {
  check_linear(d);
  visit(o.x.dtype, [&](auto t) {
    using T = decltype(t);
    using A = arithmetic_t<T>;
    const Converted<T> converted_x(o.x.as<T>(), d.m, d.in);
    Eigen::Matrix<A, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor> sum(d.m, d.out);
    sum.noalias() = converted_x.matrix() * ConstView<A>(o.w.as<A>(), d.out, d.in).transpose();
    if (o.bias) sum.rowwise() += Eigen::Map<const Eigen::Matrix<A, 1, Eigen::Dynamic>>(o.bias.as<A>(), d.out);
    if (o.residual) sum += Converted<T>(o.residual.as<T>(), d.m, d.out).matrix();
    T* const to = o.y.as<T>();
    for (Eigen::Index i = 0; i < sum.size(); ++i) to[i] = T(sum.data()[i]);
  });
}

void linear_backward_data(CpuStream&, const ConvPolicy&, const LinearDims& d, const LinearBackwardData& o) {
  check_linear(d);
  visit(o.dy.dtype, [&](auto t) {
    using T = decltype(t);
    using A = arithmetic_t<T>;
    const Converted<T> converted_dy(o.dy.as<T>(), d.m, d.out);
    assign(o.dx.as<T>(), d.m, d.in, converted_dy.matrix() * ConstView<A>(o.w.as<A>(), d.out, d.in));
  });
}

void linear_backward_weights(CpuStream&, const ConvPolicy&, const LinearDims& d,
                             const LinearBackwardWeights& o) {
  check_linear(d);
  visit(o.x.dtype, [&](auto t) {
    using T = decltype(t);
    using A = arithmetic_t<T>;
    const Converted<T> converted_dy(o.dy.as<T>(), d.m, d.out), converted_x(o.x.as<T>(), d.m, d.in);
    View<A>(o.dw.as<A>(), d.out, d.in).noalias() = converted_dy.matrix().transpose() * converted_x.matrix();
    if (o.dbias)
      Eigen::Map<Eigen::Matrix<A, 1, Eigen::Dynamic>>(o.dbias.as<A>(), d.out) =
          converted_dy.matrix().colwise().sum();
  });
}

}  // namespace ito::kernels
