#include "kernels/conv_policy.h"

#include <cstdio>
#include <sstream>

#include "kernels/conv2d.h"

namespace ito::kernels {

ConvPlan::Key ConvPlan::key_of(const Conv2dDims& d, DType dtype, ConvPass pass) {
  return {int(pass), int(dtype), d.h,      d.w,       d.c1,       d.c2,         d.k,
          d.r,       d.s,        d.stride, d.pad_top, d.pad_left, d.pad_bottom, d.pad_right};
}

Provider ConvPlan::find(const Conv2dDims& d, DType dtype, ConvPass pass) const {
  const auto found = providers_.find(key_of(d, dtype, pass));
  return found == providers_.end() ? Provider::fastest : found->second;
}

void ConvPlan::set(const Conv2dDims& d, DType dtype, ConvPass pass, Provider faster) {
  if (faster == Provider::fastest) fail("a convolution plan holds ours or cudnn, not auto");
  providers_[key_of(d, dtype, pass)] = faster;
}

std::string ConvPlan::line_of(const Key& k, Provider faster) {
  return cat(name_of(ConvPass(k[0])), " ", name_of(DType(k[1])), " ", k[2], "x", k[3], " channels ", k[4],
             "+", k[5], " to ", k[6], " filter ", k[7], "x", k[8], " stride ", k[9], " padding ", k[10], " ",
             k[11], " ", k[12], " ", k[13], ": ", name_of(faster));
}

std::string ConvPlan::to_text() const {
  std::string text;
  for (const auto& [key, faster] : providers_) text += line_of(key, faster) + "\n";
  return text;
}

ConvPlan ConvPlan::from_text(const std::string& text) {
  ConvPlan plan;
  std::istringstream lines(text);
  int number = 0;
  for (std::string line; std::getline(lines, line);) {
    ++number;
    char pass[17] = "", dtype[9] = "", name[9] = "";
    Key k{};
    std::sscanf(line.c_str(),
                "%16s %8s %dx%d channels %d+%d to %d filter %dx%d stride %d padding %d %d %d %d: %8s", pass,
                dtype, &k[2], &k[3], &k[4], &k[5], &k[6], &k[7], &k[8], &k[9], &k[10], &k[11], &k[12], &k[13],
                name);
    Provider faster = Provider::fastest;
    try {
      k[0] = int(parse_name<ConvPass>(pass)), k[1] = int(parse_name<DType>(dtype));
      faster = parse_name<Provider>(name);
    } catch (const Error&) {  // reported below
    }
    // What was read is right if it is written the same way.
    if (faster == Provider::fastest || line_of(k, faster) != line)
      fail(cat("line ", number, " of the convolution plan is not one: \"", line,
               "\"; remove it, and the shape is timed again"));
    plan.providers_[k] = faster;
  }
  return plan;
}

}  // namespace ito::kernels
