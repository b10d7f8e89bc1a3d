// Face landmarks on a phone, in plain C++17: align, crop, quantise, run, decode. The interpreter stays behind a function.
//
// All points are (x, y) pairs in pixels, edge-based: pixel i covers [i, i + 1] and its centre is i + 0.5. Pictures are RGB, 3 bytes a
// pixel, rows without padding. The numbers of `Settings` stand in the model file itself (landmark_zoo.json; see README.md).
#ifndef LANDMARK_ZOO_H_
#define LANDMARK_ZOO_H_

#include <algorithm>
#include <array>
#include <cmath>
#include <complex>
#include <cstdint>
#include <functional>
#include <stdexcept>
#include <vector>

namespace landmark_zoo {

struct Point {
  double x, y;
};

// How spreads are read: output.uncertainty of the file. The values here are of a file that nothing was fitted to.
struct Uncertainty {
  std::vector<double> typical_spread_px, typical_sigma_px;  // of each point; where they are empty, 4.24 and 6.40 of a stride of 4
  double typical_eyes_px = 1, own = 1, face = 0, eyes = 0;
  double seen_face = 0, threshold = 0, width = 0.1;
};

// What a model file says of itself; the values here are those of the published 128-pixel int8 files.
struct Settings {
  int size = 128;       // side of the crop, pixels
  int stride = 4;       // crop pixels per cell of the maps
  int points = 106;     // maps
  double map_scale = 6.0 / 255;  // real = map_scale * (stored - map_zero_point)
  int map_zero_point = -128;
  double logit_scale = 2.0;  // soft-max logits per unit of map
  int window_radius = 3;     // of the decoder, cells
  // Left eye, right eye, nose tip, mouth centre as shares of the crop's side: crop.templates.label, or .detector for MediaPipe's detector.
  std::array<Point, 4> anchors = {{{0.340, 0.275}, {0.660, 0.275}, {0.500, 0.448}, {0.500, 0.605}}};
  std::array<int, 2> outer_eyes = {66, 79};  // points.normaliser
  Uncertainty uncertainty;
};

struct Picture {
  int width = 0, height = 0;
  std::vector<uint8_t> rgb;
};

struct Face {
  std::vector<Point> points;  // in the picture
  std::vector<float> scores;  // 0..1; their mean is the face's: how likely there is one
  std::vector<double> spreads;  // of the maps, crop pixels
  std::vector<double> sigmas;   // in the picture: the true point lies within in 68 of 100 cases, within twice as much in 95
  std::vector<double> visible;  // 0..1: not behind something, not behind the face itself, not outside the picture
};

// The similarity from picture to crop: u = a x + b y + c, v = d x + e y + f.
struct Alignment {
  double a, b, c, d, e, f;

  Point to_crop(Point p) const { return {a * p.x + b * p.y + c, d * p.x + e * p.y + f}; }
  Point to_image(Point p) const {
    const double determinant = a * e - b * d, u = p.x - c, v = p.y - f;
    return {(e * u - b * v) / determinant, (a * v - d * u) / determinant};
  }
  double scale() const { return std::hypot(a, d); }
};

// Returns left eye, right eye, nose tip and mouth centre from those three and the two mouth corners.
inline std::array<Point, 4> anchors_of(const std::array<Point, 5>& five) {
  return {five[0], five[1], five[2], {(five[3].x + five[4].x) / 2, (five[3].y + five[4].y) / 2}};
}

// Returns the least-squares similarity that lays the anchors on the settings' own (Umeyama, in the plane: points as complex numbers).
inline Alignment align(const std::array<Point, 4>& found, const Settings& settings) {
  using Complex = std::complex<double>;
  Complex source_mean, target_mean, inner;
  double spread = 0, target_spread = 0;
  for (int i = 0; i < 4; ++i) {
    source_mean += Complex(found[i].x, found[i].y) / 4.0;
    target_mean += Complex(settings.anchors[i].x, settings.anchors[i].y) * (settings.size / 4.0);
  }
  for (int i = 0; i < 4; ++i) {
    const Complex source = Complex(found[i].x, found[i].y) - source_mean;
    const Complex target = Complex(settings.anchors[i].x, settings.anchors[i].y) * double(settings.size) - target_mean;
    inner += std::conj(source) * target;
    spread += std::norm(source);
    target_spread += std::norm(target);
  }
  if (!(spread > 4.0) || std::abs(inner) < 0.25 * std::sqrt(spread * target_spread)) {
    throw std::invalid_argument("the points do not lie like a face: left eye, as seen in the picture, then right eye, nose, mouth");
  }
  const Complex factor = inner / spread, shift = target_mean - factor * source_mean;
  return {factor.real(), -factor.imag(), shift.real(), factor.imag(), factor.real(), shift.imag()};
}

namespace internal {

inline int round_half_even(double value) { return static_cast<int>(std::nearbyint(value)); }

// Returns columns x rows means of 2 x 2 pixels, from (x0, y0) on; what lies behind the picture's far edge is copied from there.
inline Picture halved(const Picture& picture, int x0, int y0, int columns, int rows) {
  Picture small{columns, rows, std::vector<uint8_t>(size_t(columns) * rows * 3)};
  for (int row = 0; row < rows; ++row) {
    const size_t upper = size_t(std::min(y0 + 2 * row, picture.height - 1)) * picture.width;
    const size_t lower = size_t(std::min(y0 + 2 * row + 1, picture.height - 1)) * picture.width;
    for (int column = 0; column < columns; ++column) {
      const int left = std::min(x0 + 2 * column, picture.width - 1), right = std::min(x0 + 2 * column + 1, picture.width - 1);
      for (int channel = 0; channel < 3; ++channel) {
        auto pixel = [&](size_t at) { return int(picture.rgb[at * 3 + channel]); };
        const int sum = pixel(upper + left) + pixel(upper + right) + pixel(lower + left) + pixel(lower + right);
        small.rgb[(size_t(row) * columns + column) * 3 + channel] = static_cast<uint8_t>((sum + 2) / 4);
      }
    }
  }
  return small;
}

// Averages the part of the picture under the crop over blocks, a power of two; makes `alignment` lead from that small picture.
inline Picture averaged(const Picture& picture, int block, const Settings& settings, Alignment* alignment) {
  double low_x = INFINITY, low_y = INFINITY, high_x = -INFINITY, high_y = -INFINITY;
  for (int corner = 0; corner < 4; ++corner) {
    const Point p = alignment->to_image({corner % 2 * double(settings.size), corner / 2 * double(settings.size)});
    low_x = std::min(low_x, p.x), low_y = std::min(low_y, p.y), high_x = std::max(high_x, p.x), high_y = std::max(high_y, p.y);
  }
  auto first = [block](double low, int side) {
    return static_cast<int>(std::min(std::max(std::floor(low) - 2 * block, 0.0), double(side - 1)));
  };
  auto blocks = [block](int start, double high, int side) {
    const int last = static_cast<int>(std::min(std::ceil(high) + 2 * block, double(side)));
    return std::max(1, (last - start + block - 1) / block);
  };
  const int x0 = first(low_x, picture.width), y0 = first(low_y, picture.height);
  const int columns = blocks(x0, high_x, picture.width) * block, rows = blocks(y0, high_y, picture.height) * block;
  Picture small = halved(picture, x0, y0, columns / 2, rows / 2);
  for (int halves = 2; halves < block; halves *= 2) small = halved(small, 0, 0, small.width / 2, small.height / 2);
  Alignment& m = *alignment;
  m.c += m.a * x0 + m.b * y0;
  m.f += m.d * x0 + m.e * y0;
  m.a *= block, m.b *= block, m.d *= block, m.e *= block;
  return small;
}

}  // namespace internal

// Returns the aligned face, size x size RGB, 0 outside the picture.
//
// It is bilinear at positions of 1/32 pixel, in integers, as OpenCV's warpAffine computes it, so that the crop is the same to the last
// bit. A face more than twice as large as the crop is halved first, once or more.
inline std::vector<uint8_t> crop(const Picture& picture, Alignment m, const Settings& settings) {
  Picture small;
  const Picture* source = &picture;
  int block = 1;
  while (m.scale() * block < 0.5) block *= 2;
  if (block > 1) {
    small = internal::averaged(picture, block, settings, &m);
    source = &small;
  }
  // From here on pixel centres are integers, as OpenCV has them; then the inverse, from crop to picture.
  m.c += (m.a + m.b) * 0.5 - 0.5;
  m.f += (m.d + m.e) * 0.5 - 0.5;
  const double factor = 1 / (m.a * m.e - m.b * m.d);
  const double xx = m.e * factor, xy = -m.b * factor, yx = -m.d * factor, yy = m.a * factor;
  const double x_shift = -xx * m.c - xy * m.f, y_shift = -yx * m.c - yy * m.f;
  const int width = source->width, height = source->height;
  std::vector<uint8_t> result(size_t(settings.size) * settings.size * 3);
  auto pixel = [&](int x, int y, int channel) {
    return x < 0 || y < 0 || x >= width || y >= height ? 0 : source->rgb[(size_t(y) * width + x) * 3 + channel];
  };
  for (int row = 0; row < settings.size; ++row) {
    const int start_x = internal::round_half_even((xy * row + x_shift) * 1024) + 16;
    const int start_y = internal::round_half_even((yy * row + y_shift) * 1024) + 16;
    for (int column = 0; column < settings.size; ++column) {
      const int x32 = (start_x + internal::round_half_even(xx * column * 1024)) >> 5;
      const int y32 = (start_y + internal::round_half_even(yx * column * 1024)) >> 5;
      const int x = x32 >> 5, y = y32 >> 5, right = x32 & 31, below = y32 & 31;
      for (int channel = 0; channel < 3; ++channel) {
        const int sum = (32 - below) * ((32 - right) * pixel(x, y, channel) + right * pixel(x + 1, y, channel)) +
                        below * ((32 - right) * pixel(x, y + 1, channel) + right * pixel(x + 1, y + 1, channel));
        result[(size_t(row) * settings.size + column) * 3 + channel] = static_cast<uint8_t>((sum + 512) >> 10);
      }
    }
  }
  return result;
}

// Returns what an int8 file takes: pixel - 128.
inline std::vector<int8_t> quantise(const std::vector<uint8_t>& pixels) {
  std::vector<int8_t> stored(pixels.size());
  std::transform(pixels.begin(), pixels.end(), stored.begin(), [](uint8_t pixel) { return static_cast<int8_t>(pixel - 128); });
  return stored;
}

// Returns points and spreads in crop pixels and scores from maps (grid, grid, points), int8 as the file gives them.
//
// A point is the expectation of the soft-max over the window round the highest cell (the first in reading order), cut at the border.
inline Face decode(const std::vector<int8_t>& maps, const Settings& settings) {
  const int grid = settings.size / settings.stride, count = settings.points, cells = grid * grid;
  if (maps.size() != size_t(cells) * count) throw std::invalid_argument("the maps have another size than the settings say");
  std::array<double, 256> mass_of;  // of every value that a cell can store
  for (int stored = -128; stored < 128; ++stored) {
    mass_of[stored + 128] = std::exp(settings.logit_scale * settings.map_scale * (stored - settings.map_zero_point));
  }
  Face face{std::vector<Point>(count), std::vector<float>(count), std::vector<double>(count), {}, {}};
  for (int point = 0; point < count; ++point) {
    int peak = 0;
    double all = 0;
    for (int cell = 0; cell < cells; ++cell) {
      const int8_t value = maps[size_t(cell) * count + point];
      if (value > maps[size_t(peak) * count + point]) peak = cell;
      all += mass_of[value + 128];
    }
    const int radius = settings.window_radius, row = peak / grid, column = peak % grid;
    double inside = 0, x = 0, y = 0, square = 0;  // moments from the peak's cell
    int window = 0;
    for (int j = std::max(0, row - radius); j <= std::min(grid - 1, row + radius); ++j) {
      for (int i = std::max(0, column - radius); i <= std::min(grid - 1, column + radius); ++i) {
        const double mass = mass_of[maps[(size_t(j) * grid + i) * count + point] + 128];
        const double right = i - column, down = j - row;
        inside += mass, x += mass * right, y += mass * down, square += mass * (right * right + down * down), ++window;
      }
    }
    x /= inside, y /= inside;
    face.points[point] = {settings.stride * (column + 0.5 + x), settings.stride * (row + 0.5 + y)};
    const double base = double(window) / cells;  // what a flat map has there
    face.scores[point] = static_cast<float>(std::max(inside / all - base, 0.0) / (1 - base));
    face.spreads[point] = settings.stride * std::sqrt(std::max(square / inside - x * x - y * y, 0.0) / 2);
  }
  return face;
}

// Fills in sigmas, in crop pixels, and visibilities of points within the picture, from what a crop's maps say.
inline void read_spreads(const Settings& settings, Face* face) {
  const Uncertainty& how = settings.uncertainty;
  const size_t count = face->points.size();
  const bool fitted = !how.typical_spread_px.empty();
  std::vector<double> r(count);
  double mean = 0;
  for (size_t i = 0; i < count; ++i) {
    r[i] = std::log(std::max(face->spreads[i], 1e-3) / (fitted ? how.typical_spread_px[i] : 1.06 * settings.stride));
    mean += r[i] / count;
  }
  const Point a = face->points[settings.outer_eyes[0]], b = face->points[settings.outer_eyes[1]];
  const double across = std::log(std::max(std::hypot(a.x - b.x, a.y - b.y), 1e-3) / how.typical_eyes_px);
  const double face_part = how.face * mean + how.eyes * std::clamp(across, -1.0, 1.0);
  face->sigmas.resize(count), face->visible.resize(count);
  for (size_t i = 0; i < count; ++i) {
    face->sigmas[i] = (fitted ? how.typical_sigma_px[i] : 1.5096 * 1.06 * settings.stride) * std::exp(how.own * r[i] + face_part);
    const double away = (r[i] + how.seen_face * mean - how.threshold) / how.width;
    face->visible[i] = face->scores[i] / (1 + std::exp(std::clamp(away, -50.0, 50.0)));
  }
}

// Runs one inference: takes the stored crop, size x size x 3 int8, and returns the stored maps.
using Network = std::function<std::vector<int8_t>(const std::vector<int8_t>&)>;

// Returns the landmarks of the face that the anchors mark, in the picture.
inline Face find(const Picture& picture, const std::array<Point, 4>& anchors, const Network& network, const Settings& settings) {
  const Alignment alignment = align(anchors, settings);
  Face face = decode(network(quantise(crop(picture, alignment, settings))), settings);
  read_spreads(settings, &face);
  for (size_t i = 0; i < face.points.size(); ++i) {
    Point& point = face.points[i];
    point = alignment.to_image(point);
    face.sigmas[i] /= alignment.scale();
    if (point.x < 0 || point.y < 0 || point.x > picture.width || point.y > picture.height) face.visible[i] = 0;
  }
  return face;
}

}  // namespace landmark_zoo

#endif  // LANDMARK_ZOO_H_
