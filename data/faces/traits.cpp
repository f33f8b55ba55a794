#include "data/faces/traits.h"

#include <algorithm>
#include <initializer_list>

#include "data/faces/random.h"

namespace ito::data {
namespace {

using Die = FaceRandom;

void roll_person(Die& die, FaceTraits& t) {
  t.detail = die.bits();
  t.male = die.chance(0.46);
  const bool old = die.chance(0.2);
  t.age = old ? die.uniform(50, 82) : die.uniform(18, 46);
  t.skin = die.chance(0.5) ? die.uniform(0.0, 0.4) : die.uniform(0.3, 1.0);
  t.light = die.chance(0.5) ? die.uniform(-1.0, -0.35) : die.uniform(0.35, 1.0);
}

void roll_pose(Die& die, FaceTraits& t) {
  t.shift_x = die.normal(0, 0.5, 1.2);
  t.shift_y = die.normal(0, 0.5, 1.2);
  t.tilt = die.normal(0, 0.018, 0.05);
  t.scale = 1 + die.normal(0, 0.012, 0.03);
  t.turn = die.normal(0, 0.45, 1.0);
}

void roll_head(Die& die, FaceTraits& t) {
  t.fullness = std::max(0.0, die.normal(0.25, 0.3, 0.75));
  t.cheek_width = die.uniform(38, 41.5) + 3.0 * t.fullness;
  t.jaw_width = (t.male ? die.uniform(32, 36) : die.uniform(29, 33)) + 4.0 * t.fullness;
  t.chin_width = t.male ? die.uniform(13, 18) : die.uniform(8.5, 13);
  t.chin_y = die.uniform(62, 67) + (t.male ? 2.0 : 0.0);
  t.double_chin = t.fullness > 0.6 && die.chance(0.6);
  t.high_cheekbones = t.fullness < 0.5 && die.chance(0.45);
}

void roll_eyes(Die& die, FaceTraits& t) {
  const double melanin = t.skin;
  t.eye_size = die.uniform(0.95, 1.1) + (t.male ? 0.0 : 0.06);
  t.eye_opening = die.chance(0.12) ? die.uniform(0.55, 0.7) : die.uniform(0.85, 1.1);
  const Color dark = die.pick({rgb(0x3b2314), rgb(0x4e2f1a), rgb(0x2c1a12)});
  const Color any = die.pick({rgb(0x4f8fc4), rgb(0x5a9e6f), rgb(0x6f7f8c), rgb(0x8a6236), rgb(0x6b4424)});
  t.iris = melanin < 0.45 && die.chance(0.7) ? any : dark;
  t.bags_under_eyes = die.chance(t.age > 48 ? 0.6 : 0.08);
  t.brow_thickness = t.male ? die.uniform(3.2, 5.2) : die.uniform(2.2, 3.6);
  t.brow_arch = t.male ? die.uniform(1.0, 3.4) : die.uniform(2.2, 5.2);
  t.brow_lift = die.uniform(-0.8, 1.6);
}

void roll_nose_and_mouth(Die& die, FaceTraits& t) {
  t.nose_width = die.uniform(6.4, 8.6) + (t.male ? 0.9 : 0.0) + 1.4 * t.skin;
  t.nose_length = die.uniform(22.5, 26.5);
  t.pointy_nose = t.nose_width < 8.4 && die.chance(0.4);
  switch (die.choose({0.28, 0.34, 0.22, 0.08, 0.08})) {
    case 0:
      t.smile = die.uniform(-0.15, 0.15);
      break;  // at rest
    case 1:
      t.smile = die.uniform(0.7, 1.0), t.mouth_open = die.uniform(0.45, 1.0);
      break;  // laughs
    case 2:
      t.smile = die.uniform(0.5, 1.0);
      break;  // smiles
    case 3:
      t.smile = die.uniform(-1.0, -0.6);
      break;  // sad
    default:
      t.smile = die.uniform(-0.1, 0.1), t.mouth_open = die.uniform(0.3, 0.8);
      break;  // astonished
  }
  t.lip_fullness = die.uniform(0.75, 1.15) + (t.male ? 0.0 : 0.12) + 0.2 * t.skin;
}

void roll_makeup(Die& die, FaceTraits& t) {
  t.lipstick = !t.male && die.chance(0.62);
  t.lip =
      die.pick({rgb(0xc2243c), rgb(0xd64562), rgb(0xa91f4b), rgb(0xc9503f), rgb(0x8e2440), rgb(0xe0607e)});
  t.eye_makeup = !t.male && die.chance(t.lipstick ? 0.6 : 0.15);
  t.eye_shadow = die.pick({rgb(0x7a4f86), rgb(0x4c6a94), rgb(0x9c5f4a), rgb(0x3f7670), rgb(0x8a4058)});
  t.blush = die.uniform(0.0, 0.42);
  if (!t.male && die.chance(0.3)) t.blush += 0.5;
}

Color roll_hair_shade(Die& die, HairColor family) {
  const double t = die.uniform(0, 1);
  switch (family) {
    case HairColor::black:
      return mix(rgb(0x17141a), rgb(0x2b2226), t);
    case HairColor::brown:
      return mix(rgb(0x4a2c1c), rgb(0x86552f), t);
    case HairColor::blond:
      return mix(rgb(0xc99a4e), rgb(0xf0d48c), t);
    case HairColor::red:
      return mix(rgb(0x98371b), rgb(0xcf6a2c), t);
    default:
      return mix(rgb(0x8e8f96), rgb(0xe2e1df), t);
  }
}

HairStyle roll_hair_style(Die& die, const FaceTraits& t) {
  using enum HairStyle;
  const double old = t.age > 48 ? 1.0 : 0.0, curls = t.skin > 0.55 ? 1.0 : 0.0;
  if (t.male) {
    constexpr HairStyle kStyles[] = {bald, receding, buzz, side_part, quiff, curly, afro, long_wavy, bun};
    return kStyles[die.choose({0.07 + 0.12 * old, 0.06 + 0.25 * old, 0.13 + 0.15 * curls, 0.28, 0.22, 0.12,
                               0.02 + 0.14 * curls, 0.03, 0.02})];
  }
  constexpr HairStyle kStyles[] = {bob,   long_straight, long_wavy, bun, ponytail,
                                   curly, afro,          side_part, buzz};
  return kStyles[die.choose({0.2 + 0.15 * old, 0.26 - 0.14 * old, 0.25 - 0.1 * old, 0.1, 0.1,
                             0.08 + 0.06 * old, 0.02 + 0.14 * curls, 0.03 + 0.07 * old, 0.01})];
}

void roll_hair(Die& die, FaceTraits& t) {
  t.hair_style = roll_hair_style(die, t);
  const double light = t.skin < 0.4 ? 1.0 : 0.0;
  constexpr HairColor kFamilies[] = {HairColor::black, HairColor::brown, HairColor::blond, HairColor::red};
  t.hair_color = kFamilies[die.choose(
      {0.3 + 0.9 * (1 - light), 0.2 + 0.2 * light, 0.02 + 0.3 * light, 0.02 + 0.16 * light})];
  if (die.chance((t.age - 48) / 28)) t.hair_color = HairColor::gray;
  t.hair = roll_hair_shade(die, t.hair_color);
  t.freckles = t.skin < 0.3 && t.age < 48 && die.chance(t.hair_color == HairColor::red ? 0.6 : 0.12);
  const bool may_fringe = t.hair_style == HairStyle::bob || t.hair_style == HairStyle::long_straight ||
                          t.hair_style == HairStyle::long_wavy || t.hair_style == HairStyle::ponytail ||
                          t.hair_style == HairStyle::side_part;
  t.bangs = may_fringe && die.chance(t.male ? 0.2 : 0.36);
  t.part = die.chance(0.5) ? die.uniform(6, 17) : die.uniform(-17, -6);
  if (t.male) {
    constexpr FacialHair kKinds[] = {FacialHair::none, FacialHair::stubble, FacialHair::mustache,
                                     FacialHair::goatee, FacialHair::full_beard};
    t.facial_hair = kKinds[die.choose({0.44, 0.14, 0.09, 0.11, 0.22})];
    t.sideburns = t.facial_hair == FacialHair::full_beard || die.chance(0.12);
    if (t.hair_style == HairStyle::bald && t.facial_hair != FacialHair::full_beard) t.sideburns = false;
  }
}

void roll_accessories(Die& die, FaceTraits& t) {
  t.glasses = die.chance(t.age > 48 ? 0.3 : 0.13) ? (die.chance(0.5) ? Glasses::round : Glasses::square)
                                                  : Glasses::none;
  t.glasses_frame = die.pick({rgb(0x1c1c22), rgb(0x5a3321), rgb(0x8c2f39), rgb(0x2f4858), rgb(0xb08a3c)});
  if (t.hair_style != HairStyle::afro && t.hair_style != HairStyle::bald && die.chance(0.09)) {
    t.hat = die.choose({0.4, 0.4, 0.2}) == 0 ? Hat::cap : die.chance(0.65) ? Hat::beanie : Hat::brimmed;
  }
  t.hat_color = die.pick({rgb(0xc0392b), rgb(0x2e6f95), rgb(0x3c7a57), rgb(0xe0a030), rgb(0x494e6b),
                          rgb(0x7c3f58), rgb(0xd9cbb3), rgb(0x2b2d34)});
  t.earrings = die.chance(t.male ? 0.03 : 0.36);
  t.necklace = die.chance(t.male ? 0.03 : 0.38);
  t.jewel = die.pick({rgb(0xe7bd4f), rgb(0xdfe4ea), rgb(0x3fa796), rgb(0xe98a9b)});
}

void roll_clothes(Die& die, FaceTraits& t) {
  constexpr Garment kGarments[] = {Garment::crew_neck, Garment::v_neck, Garment::collar,
                                   Garment::suit_and_tie, Garment::turtleneck};
  t.garment = kGarments[t.male ? die.choose({0.36, 0.08, 0.26, 0.2, 0.1})
                               : die.choose({0.34, 0.4, 0.14, 0.01, 0.11})];
  if (t.garment != Garment::crew_neck && t.garment != Garment::v_neck)
    t.necklace = false;  // it would be hidden
  t.cloth = die.pick({rgb(0x2f4b7c), rgb(0xb8433f), rgb(0x3f7d6e), rgb(0xe8e2d5), rgb(0x3a3a44),
                      rgb(0xdb9a3c), rgb(0x7b5aa6), rgb(0x5d8fb8), rgb(0xd9788a), rgb(0x6c7a3c)});
  if (t.garment == Garment::suit_and_tie)
    t.cloth = die.pick({rgb(0x262b3a), rgb(0x3c3f47), rgb(0x2c3d54), rgb(0x4a3b34)});
  t.accent = die.pick({rgb(0xa8323e), rgb(0x27587f), rgb(0x2f6e58), rgb(0xc28f2c), rgb(0x6a3f74)});
}

void roll_backdrop(Die& die, FaceTraits& t) {
  constexpr Backdrop kBackdrops[] = {Backdrop::plain, Backdrop::gradient, Backdrop::bokeh, Backdrop::sky,
                                     Backdrop::room};
  t.backdrop = kBackdrops[die.choose({0.2, 0.3, 0.2, 0.13, 0.17})];
  struct Pair {
    Color top, bottom;
  };
  const Pair any = die.pick({Pair{rgb(0xf3d9b8), rgb(0xe0a987)},
                             {rgb(0x9fc4c9), rgb(0x4f868e)},
                             {rgb(0xf0b7a4), rgb(0xc46a6a)},
                             {rgb(0xc9d8b6), rgb(0x7f9c76)},
                             {rgb(0x5b6f94), rgb(0x2c3857)},
                             {rgb(0xd6c8e0), rgb(0x8d7aa8)},
                             {rgb(0xe9e4da), rgb(0xbfb3a2)},
                             {rgb(0x50505c), rgb(0x26262e)},
                             {rgb(0xf6d27c), rgb(0xdd9440)},
                             {rgb(0x3d7c78), rgb(0x1d4648)}});
  const Pair sky = die.pick({Pair{rgb(0x6fb1e4), rgb(0xd8ecf7)},
                             {rgb(0x4d8fd0), rgb(0xb9dcf2)},
                             {rgb(0x6a78b8), rgb(0xf5bd94)},
                             {rgb(0x9cc3de), rgb(0xf1e6d4)}});
  t.backdrop_top = t.backdrop == Backdrop::sky ? sky.top : any.top;
  t.backdrop_bottom = t.backdrop == Backdrop::sky ? sky.bottom : any.bottom;
}

}  // namespace

FaceTraits face_traits(uint64_t seed, uint64_t index) {
  Die die(seed, index);
  FaceTraits traits;
  roll_person(die, traits);
  roll_pose(die, traits);
  roll_head(die, traits);
  roll_eyes(die, traits);
  roll_nose_and_mouth(die, traits);
  roll_makeup(die, traits);
  roll_hair(die, traits);
  roll_accessories(die, traits);
  roll_clothes(die, traits);
  roll_backdrop(die, traits);
  return traits;
}

bool has_long_hair(const FaceTraits& t) {
  return t.hair_style == HairStyle::bob || t.hair_style == HairStyle::long_straight ||
         t.hair_style == HairStyle::long_wavy || t.hair_style == HairStyle::ponytail;
}

bool shows_hair_style(const FaceTraits& t) {
  return t.hair_style != HairStyle::bald && (t.hat == Hat::none || has_long_hair(t));
}

}  // namespace ito::data
