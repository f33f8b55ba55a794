#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kernels/base/error.h"

/// A request of HTTP as far as ./studio answers any: GET, without a body.
namespace ito::apps {

/// What is wrong with a request: the status of its answer, and one sentence.
class Refusal : public Error {
 public:
  Refusal(int status, const std::string& sentence, const char* file = __builtin_FILE(),
          int line = __builtin_LINE())
      : Error(sentence, cat(file, ":", line)), status_(status) {}
  int status() const { return status_; }

 private:
  int status_;
};

struct HttpRequest {
  std::string path, query;  // of its target, as they came: %20 is not a blank yet
  std::vector<std::pair<std::string, std::string>> fields;  // of its head; the names in lower case

  /// The field of a name in lower case, or null.
  const std::string* field(std::string_view name) const;
};

/// Of ASCII letters, whatever the locale is.
std::string in_lower_case(std::string_view text);

/// Refusal (403): another page's request, or one that came here by a name that is not this machine's. A page whose own
/// name is made to lead to this machine (DNS rebinding) would have the browser hand it the answers; such a name is
/// in Host. `host`: another name than localhost by which this program was asked to be known. `opens_page`: a link of
/// another page may lead here.
void check_origin(const HttpRequest& request, const std::string& host, bool opens_page);

}  // namespace ito::apps
