#include "data/drawn_faces.h"

#include "data/face_painter.h"

namespace ito::data {

Image draw_face(const FaceTraits& traits) {
  Canvas canvas(kFaceWidth, kFaceHeight);
  const Scene scene{canvas, traits, make_palette(traits)};
  draw_backdrop(scene);
  canvas.translate({88.5 + traits.shift_x, 111 + traits.shift_y});
  canvas.rotate(traits.tilt);
  canvas.scale(traits.scale);
  draw_back_hair(scene);
  draw_body(scene);
  draw_ears(scene);
  draw_head(scene);
  draw_age(scene);
  draw_facial_hair(scene);
  draw_nose(scene);
  draw_mouth(scene);
  draw_eyes(scene);
  draw_brows(scene);
  draw_front_hair(scene);
  draw_earrings(scene);
  draw_glasses(scene);
  draw_hat(scene);
  return canvas.image();
}

}  // namespace ito::data
