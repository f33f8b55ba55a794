#include "bench/face_rules.h"

#include <Eigen/Cholesky>
#include <Eigen/Core>
#include <algorithm>
#include <cmath>

#include "kernels/base/error.h"

namespace ito::bench {
namespace {

constexpr FaceArea kWhole{0, kRuleSide, 0, kRuleSide}, kAboveTheBrow{0, 10, 0, kRuleSide},
    kEyes{10, 19, 4, 28}, kMouth{20, 30, 8, 24};

/// A face's 1 and -1. Error: a list without a line for the face.
std::vector<float> column_of(const data::Dataset& faces, const std::string& name) {
  if (faces.height() != kRuleSide || faces.width() != kRuleSide || faces.crop() != "ddim128")
    fail(cat("rules are for faces of ", kRuleSide, "x", kRuleSide, " and crop ddim128, not ", faces.height(),
             "x", faces.width(), " and ", faces.crop()));
  std::vector<float> values = faces.attribute(name);
  for (const float value : {1.f, -1.f})
    if (std::find(values.begin(), values.end(), value) == values.end())
      fail(cat("no face of ", faces.root().string(), " has ", name, " = ", value));
  return values;
}

const uint8_t* face(const data::Dataset& faces, size_t i) {
  return faces.pixels() + i * kRuleSide * kRuleSide * 3;
}

}  // namespace

const std::vector<RuledAttribute>& ruled_attributes() {
  static const std::vector<RuledAttribute> attributes = {
      {"Black_Hair", kAboveTheBrow, 1},   {"Blond_Hair", kAboveTheBrow, 1},
      {"Eyeglasses", kEyes, 1},           {"Male", kWhole, 2},
      {"Mouth_Slightly_Open", kMouth, 1}, {"Smiling", kMouth, 1},
      {"Wearing_Hat", kAboveTheBrow, 1},  {"Wearing_Lipstick", kMouth, 1}};
  return attributes;
}

size_t FaceRule::count() const {
  return size_t((area_.bottom - area_.top) / block_ * ((area_.right - area_.left) / block_) * 3);
}

void FaceRule::features(const uint8_t* pixels, double* x) const {
  for (int row = area_.top; row + block_ <= area_.bottom; row += block_)
    for (int column = area_.left; column + block_ <= area_.right; column += block_)
      for (int channel = 0; channel < 3; ++channel) {
        int sum = 0;
        for (int i = 0; i < block_ * block_; ++i)
          sum += pixels[((row + i / block_) * kRuleSide + column + i % block_) * 3 + channel];
        *x++ = sum / (127.5 * block_ * block_) - 1;
      }
  *x = 1;
}

FaceRule::FaceRule(const RuledAttribute& attribute, const data::Dataset& faces)
    : name_(attribute.name), area_(attribute.area), block_(attribute.block) {
  constexpr Eigen::Index kRows = 256;  // faces at a time
  const std::vector<float> values = column_of(faces, name_);
  const auto with = double(std::count(values.begin(), values.end(), 1.f)),
             without = double(std::count(values.begin(), values.end(), -1.f));
  const Eigen::Index n = Eigen::Index(count()) + 1;
  Eigen::MatrixXd gram = Eigen::MatrixXd::Identity(n, n), chunk = Eigen::MatrixXd::Zero(n, kRows);
  Eigen::VectorXd right = Eigen::VectorXd::Zero(n);
  for (size_t first = 0; first < values.size(); first += size_t(kRows)) {
    for (Eigen::Index i = 0; i < kRows; ++i) {
      const size_t at = first + size_t(i);
      const float y = at < values.size() ? values[at] : 0;
      chunk.col(i).setZero();
      if (y == 0) continue;
      features(face(faces, at), chunk.col(i).data());
      const double c = (with + without) / (2 * (y > 0 ? with : without));
      right += c * double(y) * chunk.col(i);
      chunk.col(i) *= std::sqrt(c);
    }
    gram.selfadjointView<Eigen::Lower>().rankUpdate(chunk);
  }
  const Eigen::VectorXd w = gram.selfadjointView<Eigen::Lower>().llt().solve(right);
  weights_.assign(w.data(), w.data() + n);
}

bool FaceRule::shown(const uint8_t* pixels) const {
  std::vector<double> x(weights_.size());
  features(pixels, x.data());
  double sum = 0;
  for (size_t i = 0; i < x.size(); ++i) sum += weights_[i] * x[i];
  return sum > 0;
}

double FaceRule::recall(const data::Dataset& faces, int value) const {
  const std::vector<float> values = column_of(faces, name_);
  size_t of = 0, found = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    if (values[i] != float(value)) continue;
    ++of, found += shown(face(faces, i)) == (value > 0);
  }
  return double(found) / double(of);
}

}  // namespace ito::bench
