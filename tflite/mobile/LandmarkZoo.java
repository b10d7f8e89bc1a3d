/**
 * Face landmarks on a phone, in plain Java: align, crop, quantise, run, decode. The interpreter stays behind {@link Network}.
 *
 * <p>All points are x, y pairs in pixels, edge-based: pixel i covers [i, i + 1] and its centre is i + 0.5. Pictures are RGB, 3 bytes a
 * pixel, rows without padding. The numbers of {@link Settings} stand in the model file itself (landmark_zoo.json; see README.md).
 */
public final class LandmarkZoo {
  private LandmarkZoo() {}

  /** How spreads are read: output.uncertainty of the file. The values here are of a file that nothing was fitted to. */
  public static final class Uncertainty {
    /** Of each point, crop pixels; null where nothing was fitted. */
    public double[] typicalSpreadPx, typicalSigmaPx;

    public double typicalEyesPx = 1, own = 1, face = 0, eyes = 0;
    public double seenFace = 0, threshold = 0, width = 0.1;
  }

  /** What a model file says of itself; the values here are those of the published 128-pixel int8 files. */
  public static final class Settings {
    /** Side of the crop in pixels. */
    public int size = 128;

    /** Crop pixels per cell of the maps. */
    public int stride = 4;

    /** Number of maps. */
    public int points = 106;

    /** Real value of one step of a map: real = mapScale * (stored - mapZeroPoint). */
    public double mapScale = 6.0 / 255;

    public int mapZeroPoint = -128;

    /** Soft-max logits per unit of map. */
    public double logitScale = 2.0;

    /** Of the decoder's window, in cells. */
    public int windowRadius = 3;

    /**
     * Left eye, right eye, nose tip, mouth centre as shares of the crop's side: crop.templates.label, or .detector for MediaPipe's
     * detector.
     */
    public double[] anchors = {0.340, 0.275, 0.660, 0.275, 0.500, 0.448, 0.500, 0.605};

    /** The outer eye corners: points.normaliser. */
    public int[] outerEyes = {66, 79};

    public Uncertainty uncertainty = new Uncertainty();
  }

  /** Runs one inference. */
  public interface Network {
    /**
     * Returns the stored maps, grid * grid * points.
     *
     * @param crop the stored crop, size * size * 3 values pixel - 128
     */
    byte[] run(byte[] crop);
  }

  /** Landmarks: x, y pairs, and how sure they are. */
  public static final class Face {
    public final double[] points;

    /** From 0 to 1; their mean is the face's: how likely there is one. */
    public final float[] scores;

    /** Of the maps, crop pixels. */
    public final double[] spreads;

    /** Within this many pixels of the picture the true point lies in 68 of 100 cases, within twice as many in 95. */
    public final double[] sigmas;

    /** From 0 to 1: not behind something, not behind the face itself, not outside the picture. */
    public final double[] visible;

    Face(double[] points, float[] scores, double[] spreads, double[] sigmas, double[] visible) {
      this.points = points;
      this.scores = scores;
      this.spreads = spreads;
      this.sigmas = sigmas;
      this.visible = visible;
    }
  }

  /** The similarity from picture to crop: u = a x + b y + c, v = d x + e y + f. */
  public static final class Alignment {
    public final double a, b, c, d, e, f;

    Alignment(double a, double b, double c, double d, double e, double f) {
      this.a = a;
      this.b = b;
      this.c = c;
      this.d = d;
      this.e = e;
      this.f = f;
    }

    /** Crop pixels per picture pixel. */
    public double scale() {
      return Math.hypot(a, d);
    }

    /** Returns crop points, x, y pairs, in the picture. */
    public double[] toImage(double... points) {
      double[] result = new double[points.length];
      double determinant = a * e - b * d;
      for (int i = 0; i < points.length; i += 2) {
        double u = points[i] - c, v = points[i + 1] - f;
        result[i] = (e * u - b * v) / determinant;
        result[i + 1] = (a * v - d * u) / determinant;
      }
      return result;
    }
  }

  /** Returns left eye, right eye, nose tip and mouth centre from those three and the two mouth corners. */
  public static double[] anchorsOf(double[] five) {
    return new double[] {
      five[0], five[1], five[2], five[3], five[4], five[5], (five[6] + five[8]) / 2, (five[7] + five[9]) / 2
    };
  }

  /**
   * Returns the least-squares similarity that lays the anchors on the settings' own (Umeyama, in the plane).
   *
   * @throws IllegalArgumentException if the points do not lie like a face
   */
  public static Alignment align(double[] found, Settings settings) {
    double sourceX = 0, sourceY = 0, targetX = 0, targetY = 0;
    for (int i = 0; i < 8; i += 2) {
      sourceX += found[i] / 4;
      sourceY += found[i + 1] / 4;
      targetX += settings.anchors[i] * settings.size / 4;
      targetY += settings.anchors[i + 1] * settings.size / 4;
    }
    double along = 0, across = 0, spread = 0, targetSpread = 0;
    for (int i = 0; i < 8; i += 2) {
      double x = found[i] - sourceX, y = found[i + 1] - sourceY;
      double u = settings.anchors[i] * settings.size - targetX, v = settings.anchors[i + 1] * settings.size - targetY;
      along += x * u + y * v;
      across += x * v - y * u;
      spread += x * x + y * y;
      targetSpread += u * u + v * v;
    }
    if (!(spread > 4) || Math.hypot(along, across) < 0.25 * Math.sqrt(spread * targetSpread)) {
      throw new IllegalArgumentException(
          "the points do not lie like a face: left eye, as seen in the picture, then right eye, nose, mouth");
    }
    double cosine = along / spread, sine = across / spread;
    return new Alignment(
        cosine, -sine, targetX - cosine * sourceX + sine * sourceY, sine, cosine, targetY - sine * sourceX - cosine * sourceY);
  }

  /**
   * Returns the aligned face, size * size RGB, 0 outside the picture.
   *
   * <p>It is bilinear at positions of 1/32 pixel, in integers, as OpenCV's warpAffine computes it, so that the crop is the same to the
   * last bit. A face more than twice as large as the crop is halved first, once or more.
   */
  public static byte[] crop(byte[] rgb, int width, int height, Alignment m, Settings settings) {
    int block = 1;
    while (m.scale() * block < 0.5) {
      block *= 2;
    }
    if (block > 1) {
      return averaged(rgb, width, height, block, m, settings);
    }
    // From here on pixel centres are integers, as OpenCV has them; then the inverse, from crop to picture.
    double c = m.c + (m.a + m.b) * 0.5 - 0.5, f = m.f + (m.d + m.e) * 0.5 - 0.5;
    double factor = 1 / (m.a * m.e - m.b * m.d);
    double xx = m.e * factor, xy = -m.b * factor, yx = -m.d * factor, yy = m.a * factor;
    double shiftX = -xx * c - xy * f, shiftY = -yx * c - yy * f;
    int size = settings.size;
    byte[] result = new byte[size * size * 3];
    for (int row = 0; row < size; ++row) {
      int startX = (int) Math.rint((xy * row + shiftX) * 1024) + 16;
      int startY = (int) Math.rint((yy * row + shiftY) * 1024) + 16;
      for (int column = 0; column < size; ++column) {
        int x32 = (startX + (int) Math.rint(xx * column * 1024)) >> 5;
        int y32 = (startY + (int) Math.rint(yx * column * 1024)) >> 5;
        int x = x32 >> 5, y = y32 >> 5, right = x32 & 31, below = y32 & 31;
        for (int channel = 0; channel < 3; ++channel) {
          int upper = (32 - right) * pixel(rgb, width, height, x, y, channel) + right * pixel(rgb, width, height, x + 1, y, channel);
          int lower =
              (32 - right) * pixel(rgb, width, height, x, y + 1, channel) + right * pixel(rgb, width, height, x + 1, y + 1, channel);
          result[(row * size + column) * 3 + channel] = (byte) (((32 - below) * upper + below * lower + 512) >> 10);
        }
      }
    }
    return result;
  }

  private static int pixel(byte[] rgb, int width, int height, int x, int y, int channel) {
    return x < 0 || y < 0 || x >= width || y >= height ? 0 : rgb[(y * width + x) * 3 + channel] & 0xff;
  }

  /** Halves the part of the picture under the crop until the face is at most twice as large as the crop, and crops from there. */
  private static byte[] averaged(byte[] rgb, int width, int height, int block, Alignment m, Settings settings) {
    double s = settings.size;
    double[] corners = m.toImage(0, 0, s, 0, 0, s, s, s);
    double lowX = corners[0], lowY = corners[1], highX = lowX, highY = lowY;
    for (int i = 2; i < 8; i += 2) {
      lowX = Math.min(lowX, corners[i]);
      highX = Math.max(highX, corners[i]);
      lowY = Math.min(lowY, corners[i + 1]);
      highY = Math.max(highY, corners[i + 1]);
    }
    int x0 = first(lowX, width, block), y0 = first(lowY, height, block);
    int columns = blocks(x0, highX, width, block) * block, rows = blocks(y0, highY, height, block) * block;
    byte[] small = halved(rgb, width, height, x0, y0, columns / 2, rows / 2);
    for (int halves = 2; halves < block; halves *= 2) {
      small = halved(small, columns / halves, rows / halves, 0, 0, columns / halves / 2, rows / halves / 2);
    }
    Alignment toSmall =
        new Alignment(
            m.a * block, m.b * block, m.c + m.a * x0 + m.b * y0, m.d * block, m.e * block, m.f + m.d * x0 + m.e * y0);
    return crop(small, columns / block, rows / block, toSmall, settings);
  }

  private static int first(double low, int side, int block) {
    return (int) Math.min(Math.max(Math.floor(low) - 2 * block, 0), side - 1);
  }

  private static int blocks(int first, double high, int side, int block) {
    int last = (int) Math.min(Math.ceil(high) + 2 * block, side);
    return Math.max(1, (last - first + block - 1) / block);
  }

  /** Returns columns * rows means of 2 x 2 pixels, from (x0, y0) on; what lies behind the picture's far edge is copied from there. */
  private static byte[] halved(byte[] rgb, int width, int height, int x0, int y0, int columns, int rows) {
    byte[] small = new byte[columns * rows * 3];
    for (int row = 0; row < rows; ++row) {
      int upper = Math.min(y0 + 2 * row, height - 1) * width, lower = Math.min(y0 + 2 * row + 1, height - 1) * width;
      for (int column = 0; column < columns; ++column) {
        int left = Math.min(x0 + 2 * column, width - 1), right = Math.min(x0 + 2 * column + 1, width - 1);
        for (int channel = 0; channel < 3; ++channel) {
          int sum = (rgb[(upper + left) * 3 + channel] & 0xff) + (rgb[(upper + right) * 3 + channel] & 0xff)
              + (rgb[(lower + left) * 3 + channel] & 0xff) + (rgb[(lower + right) * 3 + channel] & 0xff);
          small[(row * columns + column) * 3 + channel] = (byte) ((sum + 2) / 4);
        }
      }
    }
    return small;
  }

  /** Returns what an int8 file takes: pixel - 128, which is the pixel with its highest bit changed. */
  public static byte[] quantise(byte[] pixels) {
    byte[] stored = new byte[pixels.length];
    for (int i = 0; i < pixels.length; ++i) {
      stored[i] = (byte) (pixels[i] ^ 0x80);
    }
    return stored;
  }

  /**
   * Returns points, spreads and sigmas in crop pixels, scores and visibilities from maps as the file gives them.
   *
   * <p>A point is the expectation of the soft-max over the window round the highest cell (the first in reading order), cut at the border.
   */
  public static Face decode(byte[] maps, Settings settings) {
    int grid = settings.size / settings.stride, count = settings.points, cells = grid * grid, radius = settings.windowRadius;
    if (maps.length != cells * count) {
      throw new IllegalArgumentException("the maps have " + maps.length + " values; " + cells * count + " are expected");
    }
    double[] massOf = new double[256]; // of every value that a cell can store
    for (int stored = -128; stored < 128; ++stored) {
      massOf[stored + 128] = Math.exp(settings.logitScale * settings.mapScale * (stored - settings.mapZeroPoint));
    }
    double[] points = new double[2 * count];
    float[] scores = new float[count];
    double[] spreads = new double[count];
    for (int point = 0; point < count; ++point) {
      int peak = 0;
      double all = 0;
      for (int cell = 0; cell < cells; ++cell) {
        byte value = maps[cell * count + point];
        if (value > maps[peak * count + point]) {
          peak = cell;
        }
        all += massOf[value + 128];
      }
      int row = peak / grid, column = peak % grid;
      double inside = 0, x = 0, y = 0, square = 0; // moments from the peak's cell
      int window = 0;
      for (int j = Math.max(0, row - radius); j <= Math.min(grid - 1, row + radius); ++j) {
        for (int i = Math.max(0, column - radius); i <= Math.min(grid - 1, column + radius); ++i) {
          double mass = massOf[maps[(j * grid + i) * count + point] + 128];
          inside += mass;
          x += mass * (i - column);
          y += mass * (j - row);
          square += mass * ((i - column) * (i - column) + (j - row) * (j - row));
          ++window;
        }
      }
      x /= inside;
      y /= inside;
      points[2 * point] = settings.stride * (column + 0.5 + x);
      points[2 * point + 1] = settings.stride * (row + 0.5 + y);
      double base = (double) window / cells; // what a flat map has there
      scores[point] = (float) (Math.max(inside / all - base, 0) / (1 - base));
      spreads[point] = settings.stride * Math.sqrt(Math.max(square / inside - x * x - y * y, 0) / 2);
    }
    return sure(points, scores, spreads, settings);
  }

  /** Returns a face with its sigmas, in crop pixels, and its visibilities, as if all points lay within the picture. */
  public static Face sure(double[] points, float[] scores, double[] spreads, Settings settings) {
    Uncertainty how = settings.uncertainty;
    boolean fitted = how.typicalSpreadPx != null;
    int count = scores.length, a = settings.outerEyes[0], b = settings.outerEyes[1];
    double[] r = new double[count], sigmas = new double[count], visible = new double[count];
    double mean = 0;
    for (int i = 0; i < count; ++i) {
      r[i] = Math.log(Math.max(spreads[i], 1e-3) / (fitted ? how.typicalSpreadPx[i] : 1.06 * settings.stride));
      mean += r[i] / count;
    }
    double eyes = Math.hypot(points[2 * a] - points[2 * b], points[2 * a + 1] - points[2 * b + 1]);
    double across = Math.max(-1, Math.min(1, Math.log(Math.max(eyes, 1e-3) / how.typicalEyesPx)));
    for (int i = 0; i < count; ++i) {
      double typical = fitted ? how.typicalSigmaPx[i] : 1.5096 * 1.06 * settings.stride;
      sigmas[i] = typical * Math.exp(how.own * r[i] + how.face * mean + how.eyes * across);
      double away = (r[i] + how.seenFace * mean - how.threshold) / how.width;
      visible[i] = scores[i] / (1 + Math.exp(Math.max(-50, Math.min(50, away))));
    }
    return new Face(points, scores, spreads, sigmas, visible);
  }

  /** Returns the landmarks, in the picture, of the face that the anchors mark. */
  public static Face find(byte[] rgb, int width, int height, double[] anchors, Network network, Settings settings) {
    Alignment alignment = align(anchors, settings);
    Face face = decode(network.run(quantise(crop(rgb, width, height, alignment, settings))), settings);
    double[] points = alignment.toImage(face.points);
    for (int i = 0; i < face.scores.length; ++i) {
      double x = points[2 * i], y = points[2 * i + 1];
      face.sigmas[i] /= alignment.scale();
      if (x < 0 || y < 0 || x > width || y > height) {
        face.visible[i] = 0;
      }
    }
    return new Face(points, face.scores, face.spreads, face.sigmas, face.visible);
  }
}
