/* Vectors of LANES floats, and what is done with a row of pixels.

   A row that is multiplied with weights is in float32 or, where a step is `narrow`, in bfloat16. Both lie in words of
   four bytes, one value or a pair of neighbours in each, and sums are float32.

   NaN has to stay NaN: comparisons are written for it, and -ffast-math is not for this code. */

#include <math.h>
#ifdef __AVX512BF16__
#include <immintrin.h>
#endif
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

/* Where there is no bfloat16, nothing is narrow (build.py asks). */
#ifndef __AVX512BF16__
INLINE void store_narrow(float *to, vec x) { store(to, x); }
INLINE vec add_pairs(vec sum, const float *left, vec right) { return sum + *left * right; }
#elif LANES == 16
INLINE void store_narrow(float *to, vec x) { _mm256_storeu_si256((__m256i *)to, (__m256i)_mm512_cvtneps_pbh(x)); }
INLINE vec add_pairs(vec sum, const float *left, vec right) {
    return _mm512_dpbf16_ps(sum, (__m512bh)_mm512_set1_ps(*left), (__m512bh)right);
}
#else
INLINE void store_narrow(float *to, vec x) { _mm_storeu_si128((__m128i *)to, (__m128i)_mm256_cvtneps_pbh(x)); }
INLINE vec add_pairs(vec sum, const float *left, vec right) {
    return _mm256_dpbf16_ps(sum, (__m256bh)_mm256_set1_ps(*left), (__m256bh)right);
}
#endif
INLINE void put(const int narrow, float *to, vec x) {
    if (narrow) store_narrow(to, x);
    else store(to, x);
}

/* Activate `pixels`, `from_step` floats apart, into a row where they are `to_step` words apart: an affine, if there is
   one, and a ReLU. */
INLINE void activate_as(const int narrow, const int scaled, float *to, i64 to_step, const float *from, i64 from_step,
                        i64 pixels, i64 channels, const float *scale) {
    for (i64 x = 0; x < pixels; x++)
        for (i64 c = 0; c < channels; c += LANES) {
            vec v = load(from + x * from_step + c);
            put(narrow, to + x * to_step + (c >> narrow), relu(scaled ? affine(v, scale + c, channels) : v));
        }
}

static void activate(i64 narrow, float *to, i64 to_step, const float *from, i64 from_step, i64 pixels, i64 channels,
                     const float *scale) {
    if (!scale && from_step == channels && to_step == channels >> narrow) { /* one after the other, as one long pixel */
        channels *= pixels;
        pixels = 1;
    }
#define CASE(N, S)                                                                                                     \
    if (narrow == N && !!scale == S) activate_as(N, S, to, to_step, from, from_step, pixels, channels, scale);
    CASE(0, 0) CASE(0, 1) CASE(1, 0) CASE(1, 1)
#undef CASE
}

/* Turn a row of floats into bfloat16 where it lies. */
static void shrink(float *row, i64 floats) {
    for (i64 i = 0; i < floats; i += LANES) store_narrow(row + i / 2, load(row + i));
}

/* Factors of a product of matrices, in `count` parts that are summed: rows a[r] of pixels, `stride` words apart, of
   which each counts with `depth` words, and weights b[r] (depth, columns), words as well. */
typedef struct {
    const float *a[5], *b[5];
    i64 count, stride, depth, columns, narrow;
} Factors;

/* out = add + bias + a b for P pixels and V vectors of columns: sums stay in registers. */
#define add_product(sum, left, right) ((sum) + *(left) * (right))
#define DEFINE_TILE(SUM, P, V)                                                                                         \
    INLINE void SUM##_##P##_##V(const Factors *f, i64 pixel, i64 column, const float *bias, const float *add,          \
                                float *out, i64 step) {                                                                \
        const i64 stride = f->stride, depth = f->depth, columns = f->columns, count = f->count;                        \
        vec sum[P][V] = {{{0}}};                                                                                       \
        for (i64 r = 0; r < count; r++) {                                                                              \
            const float *a = f->a[r] + pixel * stride, *b = f->b[r] + column;                                          \
            for (i64 k = 0; k < depth; k++)                                                                            \
                for (int v = 0; v < V; v++) {                                                                          \
                    vec right = load(b + k * columns + v * LANES);                                                     \
                    HOLD(right);                                                                                       \
                    for (int p = 0; p < P; p++) sum[p][v] = SUM(sum[p][v], a + p * stride + k, right);                 \
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
#define TILES(SUM, P, V)                                                                                               \
    for (; f->columns - c >= V * LANES; c += V * LANES) {                                                              \
        i64 p = 0;                                                                                                     \
        for (; p + P <= pixels; p += P) SUM##_##P##_##V(f, p, c, bias, add, out, step);                                \
        for (; p < pixels; p++) SUM##_1_##V(f, p, c, bias, add, out, step);                                            \
    }
#define DEFINE_PRODUCT(NAME, SUM)                                                                                      \
    DEFINE_TILE(SUM, 4, 4) DEFINE_TILE(SUM, 8, 2) DEFINE_TILE(SUM, 8, 1)                                               \
    DEFINE_TILE(SUM, 1, 4) DEFINE_TILE(SUM, 1, 2) DEFINE_TILE(SUM, 1, 1)                                               \
    static void NAME(const Factors *f, i64 pixels, const float *bias, const float *add, float *out, i64 step) {        \
        i64 c = 0;                                                                                                     \
        TILES(SUM, 4, 4)                                                                                               \
        TILES(SUM, 8, 2)                                                                                               \
        TILES(SUM, 8, 1)                                                                                               \
    }
DEFINE_PRODUCT(multiply_floats, add_product)
DEFINE_PRODUCT(multiply_pairs, add_pairs)

/* Output pixels are `step` floats apart; `add` may be the output itself. */
static void multiply(const Factors *f, i64 pixels, const float *bias, const float *add, float *out, i64 step) {
    if (f->narrow) multiply_pairs(f, pixels, bias, add, out, step);
    else multiply_floats(f, pixels, bias, add, out, step);
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
