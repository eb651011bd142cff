/* Vectors of LANES floats, and what is done with a row of pixels.

   NaN has to stay NaN: comparisons are written for it, and -ffast-math is not for this code. */

#include <math.h>
#include <stdint.h>
#include <string.h>

#ifndef LANES
#define LANES 16
#endif

typedef float vec __attribute__((vector_size(4 * LANES)));
typedef int32_t ivec __attribute__((vector_size(4 * LANES)));
typedef vec anywhere __attribute__((aligned(4), may_alias));
typedef int64_t i64;
#define INLINE static inline __attribute__((always_inline))
#define APART __attribute__((noinline)) /* a function of its own has the registers to itself */

/* Keeps a vector in a register, where GCC would rather load it again for every use. */
#if defined(__AVX512VL__)
#define HOLD(x) __asm__("" : "+v"(x))
#else
#define HOLD(x) (void)(x)
#endif

INLINE vec load(const float *from) { return *(const anywhere *)from; }
INLINE void store(float *to, vec x) { *(anywhere *)to = x; }
INLINE vec choose(ivec mask, vec yes, vec no) { return (vec)((mask & (ivec)yes) | (~mask & (ivec)no)); }
INLINE vec relu(vec x) {
    HOLD(x);
    return (vec)((ivec)x & ~(x < 0));
}
INLINE vec maximum(vec a, vec b) { return choose((b > a) | (b != b), b, a); } /* NaN if either is */
INLINE i64 least(i64 a, i64 b) { return a < b ? a : b; }
INLINE i64 most(i64 a, i64 b) { return a > b ? a : b; }

/* An affine lies in memory as a scale and then a shift for each channel. */
INLINE vec affine(vec v, const float *scale, i64 channels) { return v * load(scale) + load(scale + channels); }

/* Activate `pixels` that are `from_step` and `to_step` floats apart: an affine, if there is one, and a ReLU. */
INLINE void activate_as(const int scaled, float *to, i64 to_step, const float *from, i64 from_step, i64 pixels,
                        i64 channels, const float *scale) {
    for (i64 x = 0; x < pixels; x++)
        for (i64 c = 0; c < channels; c += LANES) {
            vec v = load(from + x * from_step + c);
            store(to + x * to_step + c, relu(scaled ? affine(v, scale + c, channels) : v));
        }
}

static void activate(float *to, i64 to_step, const float *from, i64 from_step, i64 pixels, i64 channels,
                     const float *scale) {
    if (scale) activate_as(1, to, to_step, from, from_step, pixels, channels, scale);
    else if (from_step == channels && to_step == channels)
        activate_as(0, to, LANES, from, LANES, pixels * channels / LANES, LANES, scale);
    else activate_as(0, to, to_step, from, from_step, pixels, channels, scale);
}

/* Factors of a product of matrices, in `count` parts that are summed: rows a[r] of pixels, `stride` floats apart, of
   which each counts with `depth` floats, and weights b[r] (depth, columns). */
typedef struct {
    const float *a[5], *b[5];
    i64 count, stride, depth, columns;
} Factors;

/* out = add + bias + a b for P pixels and V vectors of columns: sums stay in registers. */
#define DEFINE_TILE(P, V)                                                                                              \
    INLINE void tile_##P##_##V(const Factors *f, i64 pixel, i64 column, const float *bias, const float *add,           \
                               float *out, i64 step) {                                                                 \
        vec sum[P][V] = {{{0}}};                                                                                       \
        for (i64 r = 0; r < f->count; r++) {                                                                           \
            const float *a = f->a[r] + pixel * f->stride, *b = f->b[r] + column;                                       \
            const i64 stride = f->stride, depth = f->depth, columns = f->columns;                                      \
            for (i64 k = 0; k < depth; k++)                                                                            \
                for (int v = 0; v < V; v++) {                                                                          \
                    vec right = load(b + k * columns + v * LANES);                                                     \
                    HOLD(right);                                                                                       \
                    for (int p = 0; p < P; p++) sum[p][v] += a[p * stride + k] * right;                                \
                }                                                                                                      \
        }                                                                                                              \
        if (bias)                                                                                                      \
            for (int v = 0; v < V; v++)                                                                                \
                for (int p = 0; p < P; p++) sum[p][v] += load(bias + column + v * LANES);                              \
        for (int v = 0; v < V; v++)                                                                                    \
            for (int p = 0; p < P; p++) {                                                                              \
                const i64 at = (pixel + p) * step + column + v * LANES;                                                \
                store(out + at, add ? sum[p][v] + load(add + at) : sum[p][v]);                                         \
            }                                                                                                          \
    }
DEFINE_TILE(8, 1) DEFINE_TILE(8, 2) DEFINE_TILE(4, 4) DEFINE_TILE(1, 1) DEFINE_TILE(1, 2) DEFINE_TILE(1, 4)

#define TILES(P, V)                                                                                                    \
    for (; f->columns - c >= V * LANES; c += V * LANES) {                                                              \
        i64 p = 0;                                                                                                     \
        for (; p + P <= pixels; p += P) tile_##P##_##V(f, p, c, bias, add, out, step);                                 \
        for (; p < pixels; p++) tile_1_##V(f, p, c, bias, add, out, step);                                             \
    }

/* Output pixels are `step` floats apart; `add` may be the output itself. */
static void multiply(const Factors *f, i64 pixels, const float *bias, const float *add, float *out, i64 step) {
    i64 c = 0;
    TILES(4, 4)
    TILES(8, 2)
    TILES(8, 1)
}

/* A row of a depthwise convolution from those of its K input rows that lie inside the image. */
INLINE void depthwise_pixels(const int P, const int K, const int S, const int D, const float **rows,
                             const float **weights, int count, float *out, i64 channels) {
    vec sum[8] = {{0}};
    for (int r = 0; r < count; r++)
        for (int t = 0; t < K; t++) {
            vec weight = load(weights[r] + t * channels);
            for (int p = 0; p < P; p++) sum[p] += load(rows[r] + (p * S + t * D) * channels) * weight;
        }
    for (int p = 0; p < P; p++) store(out + p * channels, sum[p]);
}

INLINE void depthwise_as(const int K, const int S, const int D, const Factors *f, float *out, i64 pixels,
                         i64 channels) {
    const int count = (int)f->count;
    for (i64 c = 0; c < channels; c += LANES) {
        const float *w[5], *from[5];
        for (int r = 0; r < count; r++) w[r] = f->b[r] + c;
        for (i64 x = 0; x < pixels;) {
            for (int r = 0; r < count; r++) from[r] = f->a[r] + x * S * channels + c;
            if (x + 8 <= pixels) {
                depthwise_pixels(8, K, S, D, from, w, count, out + x * channels + c, channels);
                x += 8;
            } else {
                depthwise_pixels(1, K, S, D, from, w, count, out + x * channels + c, channels);
                x += 1;
            }
        }
    }
}

/* Of `f` come the rows and, for each, the weights (K, channels). */
static void depthwise(i64 kernel, i64 stride, i64 dilation, const Factors *f, float *out, i64 pixels, i64 channels) {
#define CASE(K, S, D)                                                                                                  \
    if (kernel == K && stride == S && dilation == D) depthwise_as(K, S, D, f, out, pixels, channels);
    CASE(3, 1, 1) CASE(3, 2, 1) CASE(3, 1, 2) CASE(3, 2, 2) CASE(5, 1, 1) CASE(5, 2, 1) CASE(5, 1, 2) CASE(5, 2, 2)
#undef CASE
}
