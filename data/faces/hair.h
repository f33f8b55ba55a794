#pragma once

#include "data/faces/painter.h"
#include "data/faces/random.h"

/// What the hair styles share. Private to the drawing.
namespace ito::data {

/// The hair's colour, lit from the scene's side; shade 1 for what lies behind.
Paint hair_paint(const Scene& scene, double shade = 0);

/// Strands along a flow: each from a point between the roots to one between the tips, light and dark in turn.
struct Flow {
  Point root_from, root_to, bend_from, bend_to, tip_from, tip_to;
};
void draw_strands(const Scene& scene, FaceRandom& die, const Flow& flow, int count, double width);

/// Light and dark strands that were gathered in two paths, with the shared strengths.
void fill_strands(const Scene& scene, const Path& light, const Path& dark);

/// The skull's hair: an outer contour above the skull and an inner edge that is the hairline.
struct Cap {
  double lift = 8;        ///< thickness over the crown
  double side = 5;        ///< thickness at the temples
  double hairline = -38;  ///< y at the middle of the forehead
  double temple = 30;     ///< half the width where the hairline turns down
  double temple_y = -30;
  double bottom = 2;  ///< y where it ends in front of the ears
};
Path cap_shape(const Scene& scene, const Cap& cap);
void draw_cap(const Scene& scene, const Cap& cap);

/// The shadow that a shape throws on the forehead.
void shade_forehead(const Scene& scene, const Path& hair);

void draw_receding(const Scene& scene);
void draw_side_part(const Scene& scene);
void draw_quiff(const Scene& scene);
void draw_curly(const Scene& scene);
void draw_afro_front(const Scene& scene);
void draw_afro_back(const Scene& scene);

void draw_locks(const Scene& scene);
void draw_long_back(const Scene& scene);
void draw_fringe(const Scene& scene);
void draw_pulled_back(const Scene& scene);
void draw_bun_back(const Scene& scene);
void draw_ponytail_back(const Scene& scene);

}  // namespace ito::data
