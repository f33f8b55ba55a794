#pragma once

#include <cstdlib>
#include <type_traits>

/// What tests/simt/mutate puts into copies of the kernels' sources: places where SIMT_MUTANT, a number, chooses
/// something else than what is written there.
namespace simt {

inline const int kMutant = std::getenv("SIMT_MUTANT") ? std::atoi(std::getenv("SIMT_MUTANT")) : 0;

constexpr bool is_mutant(int number) { return !std::is_constant_evaluated() && kMutant == number; }

template <class Action>
constexpr void skip_unless(int number, Action&& action) {
  if (!is_mutant(number)) action();
}

#define SIMT_OPERATOR(Name, sign)                      \
  struct Name {                                        \
    template <class A, class B>                        \
    static constexpr auto of(const A& a, const B& b) { \
      return a sign b;                                 \
    }                                                  \
  };
SIMT_OPERATOR(Less, <)
SIMT_OPERATOR(LessEqual, <=)
SIMT_OPERATOR(Greater, >)
SIMT_OPERATOR(GreaterEqual, >=)
SIMT_OPERATOR(Equal, ==)
SIMT_OPERATOR(NotEqual, !=)
SIMT_OPERATOR(Plus, +)
SIMT_OPERATOR(Minus, -)
SIMT_OPERATOR(Times, *)
SIMT_OPERATOR(Over, /)
SIMT_OPERATOR(Rest, %)
#undef SIMT_OPERATOR

/// Is put between two operands, with an operator of the written one's precedence on each side: a < Site<...>() > b.
template <int number, class Written, class Other>
struct Site {};
template <int number, class Written, class Other, class A>
struct Half {
  const A& a;
  template <class B>
  constexpr auto with(const B& b) const {
    using Result = decltype(Written::of(a, b));
    // Other is not for all operands (a pointer times a number): then there is no mutant.
    if constexpr (requires { Result(Other::of(a, b)); })
      return is_mutant(number) ? Result(Other::of(a, b)) : Written::of(a, b);
    else
      return Written::of(a, b);
  }
};

#define SIMT_INFIX(first, second)                                               \
  template <int n, class W, class O, class A>                                   \
  constexpr Half<n, W, O, A> operator first(const A& a, const Site<n, W, O>&) { \
    return {a};                                                                 \
  }                                                                             \
  template <int n, class W, class O, class A, class B>                          \
  constexpr auto operator second(const Half<n, W, O, A>& half, const B& b) {    \
    return half.with(b);                                                        \
  }
SIMT_INFIX(<, >)
SIMT_INFIX(==, ==)
SIMT_INFIX(+, +)
SIMT_INFIX(-, -)
SIMT_INFIX(*, *)
SIMT_INFIX(/, /)
SIMT_INFIX(%, %)
#undef SIMT_INFIX

}  // namespace simt
