/* Gradients of depthwise convolutions in bfloat16, channels last, for CPUs with AVX-512.
 *
 * oneDNN's own take 50 to 70 times as long as the forward pass for 5x5 kernels and for strides of 2,
 * and so make up three quarters of a training step of an EfficientNet.
 */
#include <immintrin.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef uint16_t bf16;

static inline __m512 load(const bf16 *p) {
    return _mm512_castsi512_ps(
        _mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)p)), 16));
}

static inline void store(bf16 *p, __m512 v) {
    _mm256_storeu_si256((__m256i *)p, (__m256i)_mm512_cvtneps_pbh(v));
}

/* One photo with a border of zeros, (h + 2p, w + 2p, c). */
static void pad(const bf16 *x, bf16 *out, int h, int w, int c, int p) {
    int wide = w + 2 * p;
    memset(out, 0, sizeof(bf16) * (size_t)(h + 2 * p) * wide * c);
    for (int y = 0; y < h; y++)
        memcpy(out + ((size_t)(y + p) * wide + p) * c, x + (size_t)y * w * c,
               sizeof(bf16) * (size_t)w * c);
}

#define WEIGHT_GRADIENT(K)                                                                        \
    static void weight_gradient_##K(const bf16 *x, const bf16 *g, float *out, int wide, int ho,   \
                                    int wo, int c, int s) {                                       \
        for (int b = 0; b < c; b += 16) {                                                         \
            __m512 acc[K * K];                                                                    \
            for (int t = 0; t < K * K; t++) acc[t] = _mm512_loadu_ps(out + (size_t)t * c + b);    \
            for (int y = 0; y < ho; y++)                                                          \
                for (int z = 0; z < wo; z++) {                                                    \
                    __m512 v = load(g + ((size_t)y * wo + z) * c + b);                            \
                    const bf16 *q = x + ((size_t)y * s * wide + (size_t)z * s) * c + b;           \
                    _Pragma("GCC unroll 5") for (int i = 0; i < K; i++)                           \
                        _Pragma("GCC unroll 5") for (int j = 0; j < K; j++)                       \
                            acc[i * K + j] = _mm512_fmadd_ps(                                     \
                                v, load(q + ((size_t)i * wide + j) * c), acc[i * K + j]);         \
                }                                                                                 \
            for (int t = 0; t < K * K; t++) _mm512_storeu_ps(out + (size_t)t * c + b, acc[t]);    \
        }                                                                                         \
    }
WEIGHT_GRADIENT(3)
WEIGHT_GRADIENT(5)

/* x (n, h, w, c), g (n, ho, wo, c) -> out (k * k, c), float, for each of `parts` threads. */
void depthwise_weight_gradient(const bf16 *x, const bf16 *g, float *out, int n, int h, int w, int c,
                               int ho, int wo, int k, int s, int p, int parts) {
    int wide = w + 2 * p;
#pragma omp parallel for num_threads(parts) schedule(static, 1)
    for (int part = 0; part < parts; part++) {
        bf16 *padded = aligned_alloc(64, ((sizeof(bf16) * (size_t)(h + 2 * p + s) * wide * c) / 64 + 1) * 64);
        float *mine = out + (size_t)part * k * k * c;
        for (int i = part; i < n; i += parts) {
            pad(x + (size_t)i * h * w * c, padded, h, w, c, p);
            const bf16 *gradient = g + (size_t)i * ho * wo * c;
            if (k == 3) weight_gradient_3(padded, gradient, mine, wide, ho, wo, c, s);
            else weight_gradient_5(padded, gradient, mine, wide, ho, wo, c, s);
        }
        free(padded);
    }
}

/* g (n, ho, wo, c), weight (k * k, c) float -> out (n, h, w, c). */
void depthwise_input_gradient(const bf16 *g, const float *weight, bf16 *out, int n, int h, int w,
                              int c, int ho, int wo, int k, int s, int p, int parts) {
    int wide = w + 2 * p + s, high = h + 2 * p + s;
#pragma omp parallel for num_threads(parts) schedule(static, 1)
    for (int part = 0; part < parts; part++) {
        float *sums = aligned_alloc(64, ((sizeof(float) * (size_t)high * wide * 16) / 64 + 1) * 64);
        for (int i = part; i < n; i += parts)
            for (int b = 0; b < c; b += 16) {
                memset(sums, 0, sizeof(float) * (size_t)high * wide * 16);
                __m512 taps[25];
                for (int t = 0; t < k * k; t++) taps[t] = _mm512_loadu_ps(weight + (size_t)t * c + b);
                for (int y = 0; y < ho; y++)
                    for (int z = 0; z < wo; z++) {
                        __m512 v = load(g + (((size_t)i * ho + y) * wo + z) * c + b);
                        float *q = sums + ((size_t)y * s * wide + (size_t)z * s) * 16;
                        for (int a = 0; a < k; a++)
                            for (int d = 0; d < k; d++) {
                                float *at = q + ((size_t)a * wide + d) * 16;
                                _mm512_store_ps(at, _mm512_fmadd_ps(v, taps[a * k + d], _mm512_load_ps(at)));
                            }
                    }
                for (int y = 0; y < h; y++)
                    for (int z = 0; z < w; z++)
                        store(out + (((size_t)i * h + y) * w + z) * c + b,
                              _mm512_load_ps(sums + ((size_t)(y + p) * wide + z + p) * 16));
            }
        free(sums);
    }
}
