#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace ito::model {

/// A curve of bounded size, however long the run: up to kMostPoints points, each the mean, lowest and highest
/// of equally many neighbouring values; when they are too many, neighbours are joined. It depends on the
/// values alone, so that a curve read back from a log is the one that was drawn before.
class Curve {
 public:
  static constexpr size_t kMostPoints = 1000;
  struct Point {
    int64_t step = 0;  // of the last value
    int64_t count = 0;
    double sum = 0, low = 0, high = 0;
  };

  /// Steps ascend. Values that are not finite are left out.
  void add(int64_t step, double value);
  const std::vector<Point>& points() const { return points_; }

 private:
  std::vector<Point> points_;
  int64_t values_a_point_ = 1;
};

/// What the page of a run shows.
struct RunPage {
  std::string folder;             // its path
  std::string options = "{}";     // JSON
  std::string state = "running";  // or finished, stopped
  std::string reason;             // why it stopped
  int64_t step = 0, steps = 0, skipped = 0, saved = 0;
  double images_per_second = 0, seconds_left = 0;  // 0: not known yet
  double longest_pause = 0;                        // between two times it was written, in seconds
  Curve loss, validation_loss, fid, grad_norm, learning_rate, speed;
  std::vector<int64_t> grids;  // steps of samples/step-*.png, ascending
  struct Message {
    int64_t step = 0;
    std::string text;
  };
  std::vector<Message> messages;
};

/// index.html, the same for every run: it reads run_data.js again and again. Needs no server and no network.
std::string run_page_html();
/// The CSS that all pages share: colors by day and by night, type, and the lines of charts.
std::string page_style();
/// run_data.js, at most some 200 KB: of very many grids only an even selection is kept, of messages only the newest.
/// `now`: seconds since 1970.
std::string run_page_data(const RunPage& page, double now);

}  // namespace ito::model
