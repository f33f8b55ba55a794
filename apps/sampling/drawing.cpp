#include "apps/sampling/drawing.h"

#include <algorithm>
#include <set>

#include "apps/inputs/give_way.h"
#include "data/pictures/contact_sheet.h"
#include "engine/agreement.h"
#include "engine/io/atomic_file.h"
#include "kernels/base/math.h"

namespace ito::apps {

namespace fs = std::filesystem;

namespace {

/// Draws a sampling's chunks, a round of one chunk a rank at a time.
class Rounds {
 public:
  Rounds(engine::Device& device, Drawing& drawing, const model::SampleProgress& progress)
      : device_(device),
        ranks_(device.ranks()),
        drawing_(drawing),
        progress_(progress),
        denoiser_(drawing.guided.denoiser()),
        sampler_(device, denoiser_, drawing.plan, drawing.image, drawing.chunk.images),
        chunk_(size_t(drawing.chunk.images)),
        round_(chunk_ * size_t(ranks_.size())),
        shown_(data::room_in_grid(drawing.starts.size(), int(drawing.image[0]), int(drawing.image[1]))),
        stages_(shown_stages(drawing.plan, drawing.strip)) {}

  Made run() {
    const size_t all = drawing_.starts.size();
    try {
      for (size_t first = 0; first < all; first += round_) add_round(first, std::min(all, first + round_));
    } catch (const engine::Interrupted&) {
    }
    return std::move(made_);
  }

 private:
  /// What this rank has made of a round: pictures first .. first + count - 1.
  struct Own {
    size_t first = 0, count = 0;
    std::vector<float> numbers;
    std::vector<uint8_t> pixels;
    double evaluations = 0;
  };

  void add_round(size_t begin, size_t end) {
    Own own;
    own.first = std::min(end, begin + chunk_ * size_t(ranks_.rank()));
    own.count = std::min(end - own.first, chunk_);
    engine::together(ranks_, [&] {
      if (own.count) make(own);
    });
    engine::together(ranks_, [&] {
      if (ranks_.rank() == 0) announce(begin, end);
    });
    engine::together(ranks_, [&] { write(own); });
    add(begin, end, own);
  }

  void make(Own& own) {
    own.numbers = draw_numbers(sampler_, denoiser_, drawing_.starts, own.first, own.count, hooks_of(own));
    own.pixels = model::quantised(own.numbers);
    own.evaluations = sampler_.evaluations() * double(own.count);
  }

  /// Lists the round's pictures. Those of the same names, which may come from another sampling, are removed first.
  void announce(size_t begin, size_t end) {
    std::error_code ignored;  // what cannot be removed cannot be written either
    for (size_t i = begin; i < end; ++i) {
      fs::remove(file_of(i), ignored);
      drawing_.note.seeds.insert(drawing_.starts.numbers()[i]);
    }
    write_sample_note(drawing_.out, drawing_.note);
  }

  void write(const Own& own) const {
    for (size_t i = 0; i < own.count; ++i) {
      const std::vector<uint8_t> png =
          encode_picture(own.pixels.data() + i * drawing_.each(), drawing_.image, drawing_.note,
                         drawing_.starts.numbers()[own.first + i]);
      io::write_file_atomic(file_of(own.first + i), {reinterpret_cast<const char*>(png.data()), png.size()});
    }
  }

  void add(size_t begin, size_t end, Own& own) {
    for (const double evaluations : engine::gather_values(ranks_, own.evaluations))
      made_.evaluations += evaluations;
    if (begin < shown_) gather(made_.first, std::move(own.pixels), begin, end, shown_);
    if (drawing_.keeps_numbers) gather(made_.numbers, std::move(own.numbers), begin, end, end);
    made_.images = end;
  }

  /// Appends the round's pictures, but none from `limit` on, to what rank 0 has.
  template <class T>
  void gather(std::vector<T>& all, std::vector<T> own, size_t begin, size_t end, size_t limit) {
    const std::vector<T> round =
        engine::gather_chunks(ranks_, std::move(own), end - begin, chunk_, drawing_.each());
    if (ranks_.rank() == 0)
      all.insert(all.end(), round.begin(),
                 round.begin() + std::ptrdiff_t((std::min(end, limit) - begin) * drawing_.each()));
  }

  fs::path file_of(size_t picture) const {
    return drawing_.out / picture_name(drawing_.starts.numbers()[picture]);
  }

  model::SampleHooks hooks_of(const Own& own) {
    model::SampleHooks hooks;
    const double rounds = double(div_up(drawing_.starts.size(), round_));
    hooks.progress = [this, rounds, before = own.first / round_](double done) {
      give_way();
      progress_((double(before) + done) / rounds);
    };
    if (own.first == 0 && drawing_.strip > 0)
      hooks.look = [this, count = own.count](size_t stage, const model::Tensor& denoised) {
        if (stages_.count(stage)) add_states(denoised, count);
      };
    return hooks;
  }

  /// Adds a state of `count` images.
  void add_states(const model::Tensor& denoised, size_t count) {
    const std::vector<uint8_t> pixels = state_pixels(device_, denoised, count, drawing_.image);
    for (size_t i = 0; i < count; ++i)
      made_.strips.push_back(picture_of(pixels.data() + i * drawing_.each(), drawing_.image));
  }

  engine::Device& device_;
  kernels::Wire& ranks_;
  Drawing& drawing_;
  const model::SampleProgress& progress_;
  const model::Denoiser denoiser_;
  model::Sampler sampler_;
  size_t chunk_, round_;  // pictures of each
  size_t shown_;          // pictures of the grid
  std::set<size_t> stages_;
  Made made_;
};

}  // namespace

Made draw(engine::Device& device, Drawing& drawing, const model::SampleProgress& progress) {
  return Rounds(device, drawing, progress).run();
}

size_t write_strip(const Drawing& drawing, const Made& made, const fs::path& file) {
  const size_t states = shown_stages(drawing.plan, drawing.strip).size(), rows = made.strips.size() / states;
  if (rows == 0) return 0;
  std::vector<data::Image> pictures;
  for (size_t r = 0; r < rows; ++r) {
    for (size_t k = 0; k < states; ++k) pictures.push_back(made.strips[k * rows + r]);
    pictures.push_back(picture_of(made.first.data() + r * drawing.each(), drawing.image));
  }
  data::write_png(file, data::make_grid(pictures, int(states) + 1),
                  texts_of(drawing.note, drawing.numbers(rows)));
  return rows;
}

}  // namespace ito::apps
