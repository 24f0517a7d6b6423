/* run.c: the second of the two files. model.gguf holds a language model's numbers, this file says
   what to do with them; together they are all it takes.

       cc -O3 -march=native -o run run.c -lm
       ./run model.gguf complete "In that match Virat Kohli hit a"

   -O3 turns the inner loops into vector instructions, -march=native takes all of them that this
   processor has. It reads GGUF version 3 (the format of llama.cpp), architecture "llama", tensors
   in F32, F16 and Q8_0, byte-level BPE with the pre-tokenizers gpt-2 and smollm, and chats in
   ChatML. Left out: threads, GPUs, batches, other architectures and quantisations, other chat
   templates, most of the Unicode table (see RANGES), big-endian processors, and free(): the end
   comes soon. Each floor stands on those above it in this file: errors and memory, GGUF, model,
   maths, forward pass, tokenizer, sampler, modes, main. */
#include <limits.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#ifdef _WIN32
#include <fcntl.h>
#include <io.h>
#endif

/* ---- Errors and memory ---- */

#define die(...) \
    (fputs("run: ", stderr), fprintf(stderr, __VA_ARGS__), fputc('\n', stderr), exit(1))
#define SHOW(b) (int)((b).size < 60 ? (b).size : 60), (const char *)(b).at // for "%.*s"

typedef struct {
    const uint8_t *at; // a stretch of bytes; no zero marks its end
    size_t size;
} Bytes;

static Bytes text(const char *s) { return (Bytes){(const uint8_t *)s, strlen(s)}; }
static int same(Bytes a, const char *s) { return a.size == strlen(s) && !memcmp(a.at, s, a.size); }

static void *allocate(size_t count, size_t size) {
    void *memory = calloc(count + 1, size); // zeroed; calloc refuses a product that overflows
    if (!memory) die("not enough memory (option -c asks for a smaller context)");
    return memory;
}
static float *floats(size_t count) { return allocate(count, sizeof(float)); }

/* ---- GGUF: a header, named values, named tensors, then the numbers of the tensors ---- */

enum { F32 = 0, F16 = 1, Q8_0 = 8 };                                // types of a tensor
enum { INT32 = 5, FLOAT = 6, STRING = 8, ARRAY = 9, N_TYPES = 13 }; // types of a value ...
static const int SIZE[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};  // ... and their bytes
enum { HEADER = 24 }; // "GGUF", version, number of tensors, number of values

typedef struct {
    Bytes name;
    size_t rows, cols, type, offset; // shape (rows, cols), though the file says cols first
    const uint8_t *data;             // row after row, row_size() bytes each
} Tensor;

typedef struct {
    Bytes file;                              // all of it, in memory
    size_t at, n_values, n_tensors, numbers; // at: where take() goes on; numbers: where they begin
    Tensor *tensors;
} Gguf;

/* The next `size` bytes. The whole header passes here, so nothing reads beyond the file's end. */
static const uint8_t *take(Gguf *g, uint64_t size) {
    if (size > g->file.size - g->at) die("the file is cut short or damaged: it ends too early");
    g->at += size;
    return g->file.at + g->at - size;
}

static uint64_t take_number(Gguf *g, int size) {
    uint64_t number = 0;
    memcpy(&number, take(g, size), size);
    return number;
}

static size_t take_count(Gguf *g) { // of things of a byte or more
    uint64_t count = take_number(g, 8);
    if (count > g->file.size)
        die("the file is damaged: it has no room for %g things", (double)count);
    return count;
}

static Bytes take_string(Gguf *g) {
    size_t size = take_count(g);
    return (Bytes){take(g, size), size};
}

static void skip_value(Gguf *g, size_t type) {
    uint64_t n = 1;
    if (type == ARRAY) type = take_number(g, 4), n = take_count(g);
    if (type >= N_TYPES || type == ARRAY)
        die("the file is damaged: it has a value of no known type");
    for (take(g, n * SIZE[type]); type == STRING && n; n--) take_string(g);
}

/* Goes to the value called `name` and returns its type, N_TYPES if there is none. */
static size_t find(Gguf *g, const char *name) {
    g->at = HEADER;
    for (size_t i = 0; i < g->n_values; i++) {
        Bytes found = take_string(g);
        size_t type = take_number(g, 4);
        if (same(found, name)) return type;
        skip_value(g, type);
    }
    return N_TYPES;
}

static Bytes string(Gguf *g, const char *name) {
    return find(g, name) == STRING ? take_string(g) : text("");
}

/* Goes to the first item of the array called `name` and returns how many it has. */
static size_t array(Gguf *g, const char *name, size_t type) {
    if (find(g, name) != ARRAY || take_number(g, 4) != type) die("the file has no %s", name);
    return take_count(g);
}

/* The number called `name`, or `missing`; either must lie in [low, high]. */
static double number(Gguf *g, const char *name, double missing, double low, double high) {
    size_t type = find(g, name);
    uint64_t whole = type < N_TYPES ? take_number(g, SIZE[type]) : 0; // if negative, turns huge
    float real;
    memcpy(&real, &whole, 4);
    double result = type == N_TYPES ? missing : type == FLOAT ? real : whole;
    if (!(result >= low && result <= high)) die("%s must be from %g to %g", name, low, high);
    return result;
}

static void read_gguf(Gguf *g, const char *path) {
    FILE *file = fopen(path, "rb");
    long size = !file || fseek(file, 0, SEEK_END) ? -1 : ftell(file);
    if (size < 0 || size == LONG_MAX || fseek(file, 0, SEEK_SET)) die("can't open %s", path);
    uint8_t *bytes = allocate(size, 1);
    if (fread(bytes, 1, size, file) != (size_t)size) die("can't read %s", path);
    g->file = (Bytes){bytes, size};
    if (size < HEADER || memcmp(take(g, 4), "GGUF", 4)) die("%s is no GGUF file", path);
    if (take_number(g, 4) != 3) die("%s is not version 3 of GGUF", path);
    g->n_tensors = take_count(g);
    g->n_values = take_count(g);
    size_t alignment = number(g, "general.alignment", 32, 4, 1 << 20);
    find(g, ""); // no value has this name, so it goes to their end
    g->tensors = allocate(g->n_tensors, sizeof(Tensor));
    for (Tensor *t = g->tensors; t < g->tensors + g->n_tensors; t++) {
        t->name = take_string(g);
        uint64_t n_dims = take_number(g, 4);
        if (n_dims < 1 || n_dims > 2) die("tensor %.*s has not 1 or 2 dimensions", SHOW(t->name));
        t->cols = take_count(g);
        t->rows = n_dims == 2 ? take_count(g) : 1;
        t->type = take_number(g, 4);
        t->offset = take_count(g);
    }
    g->numbers = (g->at + alignment - 1) / alignment * alignment;
}

static size_t row_size(const Tensor *t) {
    if (t->type == Q8_0) return t->cols / 32 * 34; // blocks of 32: a scale in F16, then 32 int8
    return t->cols * (t->type == F16 ? 2 : 4);
}

static const Tensor *tensor(Gguf *g, const char *format, int layer, size_t rows, size_t cols) {
    char name[64];
    snprintf(name, sizeof name, format, layer);
    for (Tensor *t = g->tensors; t < g->tensors + g->n_tensors; t++) {
        if (!same(t->name, name)) continue;
        if (t->type != F32 && t->type != F16 && t->type != Q8_0)
            die("tensor %s has type %zu, expected 0 (F32), 1 (F16) or 8 (Q8_0)", name, t->type);
        if (t->rows != rows || t->cols != cols || (t->type == Q8_0 && cols % 32))
            die("tensor %s is %zu x %zu, expected %zu x %zu", name, t->rows, t->cols, rows, cols);
        size_t start = g->numbers + t->offset; // no overflow: both are sizes of things in memory
        if (start % 4 || start > g->file.size || rows > (g->file.size - start) / row_size(t))
            die("the file is cut short or damaged: tensor %s is not inside it", name);
        t->data = g->file.at + start;
        return t;
    }
    die("the file has no tensor %s", name);
}

/* ---- Model: shape, weights, and the scratch paper of a forward pass ---- */

typedef struct {
    const Tensor *attn_norm, *ffn_norm; // (1, dim)
    const Tensor *q, *k, *v, *o;        // (dim, dim), (kv_dim, dim), (kv_dim, dim), (dim, dim)
    const Tensor *gate, *up, *down;     // (ffn_dim, dim), (ffn_dim, dim), (dim, ffn_dim)
    float *keys, *values;               // KV cache: (context_length, kv_dim)
} Layer;

typedef struct {
    int vocab_size, context_length, dim, n_layers, n_heads, n_kv_heads, head_dim, kv_dim, ffn_dim;
    float rope_theta, norm_eps;
    const Tensor *embedding, *output, *norm; // (vocab_size, dim), (vocab_size, dim), (1, dim)
    Layer *layers;
    int length;                   // tokens in the KV cache
    float *x, *normed, *q, *sum;  // (dim): residual stream, its norm, queries, attention's sums
    float *gate, *up;             // (ffn_dim)
    float *scores, *logits, *row; // (context_length), (vocab_size), one row of weights
} Model;

static void load_model(Model *m, Gguf *g, int vocab_size, int context_length) {
    Bytes architecture = string(g, "general.architecture");
    if (!same(architecture, "llama")) die("can't run architecture '%.*s'", SHOW(architecture));
    if (string(g, "llama.rope.scaling.type").size) die("can't run a model that scales RoPE");
    int L = m->n_layers = number(g, "llama.block_count", 0, 1, 1e4);
    int C = m->dim = number(g, "llama.embedding_length", 0, 1, 1e6);
    int F = m->ffn_dim = number(g, "llama.feed_forward_length", 0, 1, 1e6);
    int H = m->n_heads = number(g, "llama.attention.head_count", 0, 1, C);
    int K = m->n_kv_heads = number(g, "llama.attention.head_count_kv", H, 1, H);
    int D = m->head_dim = number(g, "llama.rope.dimension_count", C / H, 2, C);
    int T = m->context_length = number(g, "llama.context_length", 0, 1, 1e9);
    if (D * H != C || D % 2 || H % K) die("%d heads over %d don't fit dim %d", H, K, C);
    if (context_length < T) T = m->context_length = context_length;
    m->rope_theta = number(g, "llama.rope.freq_base", 10000, 1, 1e30);
    m->norm_eps = number(g, "llama.attention.layer_norm_rms_epsilon", 1e-5, 0, 1);
    m->vocab_size = vocab_size, m->kv_dim = D * K;
    int tied = g->n_tensors == 9 * (size_t)L + 2; // else there is one more: output.weight
    if (!tied && g->n_tensors != 9 * (size_t)L + 3)
        die("can't run a model with %zu tensors in %d layers (biases? experts?)", g->n_tensors, L);
    m->embedding = tensor(g, "token_embd.weight", 0, vocab_size, C);
    m->output = tied ? m->embedding : tensor(g, "output.weight", 0, vocab_size, C);
    m->norm = tensor(g, "output_norm.weight", 0, 1, C);
    m->layers = allocate(L, sizeof(Layer));
    for (int i = 0; i < L; i++) {
        Layer *l = &m->layers[i];
        l->attn_norm = tensor(g, "blk.%d.attn_norm.weight", i, 1, C);
        l->q = tensor(g, "blk.%d.attn_q.weight", i, C, C);
        l->k = tensor(g, "blk.%d.attn_k.weight", i, m->kv_dim, C);
        l->v = tensor(g, "blk.%d.attn_v.weight", i, m->kv_dim, C);
        l->o = tensor(g, "blk.%d.attn_output.weight", i, C, C);
        l->ffn_norm = tensor(g, "blk.%d.ffn_norm.weight", i, 1, C);
        l->gate = tensor(g, "blk.%d.ffn_gate.weight", i, F, C);
        l->up = tensor(g, "blk.%d.ffn_up.weight", i, F, C);
        l->down = tensor(g, "blk.%d.ffn_down.weight", i, C, F);
        l->keys = floats((size_t)T * m->kv_dim), l->values = floats((size_t)T * m->kv_dim);
    }
    m->x = floats(C), m->normed = floats(C), m->q = floats(C), m->sum = floats(C);
    m->gate = floats(F), m->up = floats(F), m->row = floats(C > F ? C : F);
    m->scores = floats(T), m->logits = floats(vocab_size);
}

/* ---- Maths ---- */

/* 16 bits: sign, 5 of exponent (counted from 15; in 32 bits from 127), 10 of fraction. */
static float from_half(uint16_t half) {
    uint32_t rest = half & 0x7fff, bits = (rest << 13) + ((rest < 0x7c00 ? 112u : 224u) << 23);
    float value;
    memcpy(&value, &bits, 4);
    value = rest < 0x400 ? rest * 0x1p-24f : value; // the smallest have no exponent
    return half & 0x8000 ? -value : value;
}

/* Row i as floats: where it lies if it is F32, else unpacked into `room`. */
static const float *row_of(const Tensor *t, size_t i, float *restrict room) {
    const uint8_t *data = t->data + i * row_size(t);
    if (t->type == F32) return (const float *)data;
    for (size_t c = 0; t->type == F16 && c < t->cols; c++)
        room[c] = from_half(((const uint16_t *)data)[c]);
    for (size_t block = 0; t->type == Q8_0 && block < t->cols; block += 32, data += 34) {
        float scale = from_half(*(const uint16_t *)data);
        for (int c = 0; c < 32; c++) room[block + c] = scale * (int8_t)data[2 + c];
    }
    return room;
}

/* Sixteen sums side by side: the order inside one sum is fixed, which would rule out vectors. */
static float dot(const float *a, const float *b, int n) {
    float sums[16] = {0}, sum = 0;
    int i = 0;
    for (; i + 16 <= n; i += 16)
        for (int j = 0; j < 16; j++) sums[j] += a[i + j] * b[i + j];
    for (; i < n; i++) sum += a[i] * b[i];
    for (int j = 0; j < 16; j++) sum += sums[j];
    return sum;
}

/* out (rows) = w (rows, cols) @ x (cols) */
static void matmul(Model *m, float *out, const Tensor *w, const float *x) {
    for (size_t i = 0; i < w->rows; i++) out[i] = dot(row_of(w, i, m->row), x, w->cols);
}

/* normed = x / sqrt(mean(x^2) + eps) * weight */
static void rmsnorm(Model *m, const Tensor *weight) {
    const float *w = row_of(weight, 0, m->row);
    float scale = 1 / sqrtf(dot(m->x, m->x, m->dim) / m->dim + m->norm_eps);
    for (int i = 0; i < m->dim; i++) m->normed[i] = m->x[i] * scale * w[i];
}

static void softmax(float *x, int n) {
    float max = x[0], sum = 0;
    for (int i = 1; i < n; i++) max = x[i] > max ? x[i] : max;
    for (int i = 0; i < n; i++) sum += x[i] = expf(x[i] - max);
    for (int i = 0; i < n; i++) x[i] /= sum;
}

/* RoPE: turns pair i of each head by the angle position / theta^(2i / head_dim). */
static void rotate(const Model *m, float *x, int n_heads) {
    for (int i = 0; i < m->head_dim; i += 2) {
        float angle = m->length * powf(m->rope_theta, -(float)i / m->head_dim);
        float c = cosf(angle), s = sinf(angle);
        for (float *pair = x + i; pair < x + n_heads * m->head_dim; pair += m->head_dim) {
            float first = pair[0];
            pair[0] = first * c - pair[1] * s;
            pair[1] = first * s + pair[1] * c;
        }
    }
}

/* ---- Forward pass: a token goes into the KV cache, logits for the next one come out ---- */

static void attention(Model *m, const Layer *l) {
    int D = m->head_dim, T = m->length + 1, group = m->n_heads / m->n_kv_heads;
    float *keys = l->keys, *values = l->values;
    float *k = keys + (size_t)m->length * m->kv_dim, *v = values + (size_t)m->length * m->kv_dim;
    matmul(m, m->q, l->q, m->normed);
    matmul(m, k, l->k, m->normed);
    matmul(m, v, l->v, m->normed);
    rotate(m, m->q, m->n_heads);
    rotate(m, k, m->n_kv_heads);
    memset(m->sum, 0, m->dim * sizeof(float));
    for (int h = 0; h < m->n_heads; h++) { // `group` heads share their keys and values
        for (int t = 0; t < T; t++) {
            k = keys + (size_t)t * m->kv_dim + h / group * D;
            m->scores[t] = dot(m->q + h * D, k, D) / sqrtf(D);
        }
        softmax(m->scores, T);
        for (int t = 0; t < T; t++) {
            v = values + (size_t)t * m->kv_dim + h / group * D;
            for (int i = 0; i < D; i++) m->sum[h * D + i] += m->scores[t] * v[i];
        }
    }
    matmul(m, m->normed, l->o, m->sum);
    for (int i = 0; i < m->dim; i++) m->x[i] += m->normed[i];
}

/* SwiGLU: down @ (silu(gate @ x) * (up @ x)), where silu(a) = a * sigmoid(a) */
static void feed_forward(Model *m, const Layer *l) {
    matmul(m, m->gate, l->gate, m->normed);
    matmul(m, m->up, l->up, m->normed);
    for (int i = 0; i < m->ffn_dim; i++) m->up[i] *= m->gate[i] / (1 + expf(-m->gate[i]));
    matmul(m, m->normed, l->down, m->up);
    for (int i = 0; i < m->dim; i++) m->x[i] += m->normed[i];
}

static void forward(Model *m, int token) {
    memcpy(m->x, row_of(m->embedding, token, m->row), m->dim * sizeof(float));
    for (Layer *l = m->layers; l < m->layers + m->n_layers; l++) {
        rmsnorm(m, l->attn_norm);
        attention(m, l);
        rmsnorm(m, l->ffn_norm);
        feed_forward(m, l);
    }
    rmsnorm(m, m->norm);
    matmul(m, m->logits, m->output, m->normed);
    m->length++;
}

/* ---- Tokenizer: byte-level BPE ---- */

enum { OTHER, LETTER, NUMBER, SPACE };
static const struct {
    int first, last, kind;
} RANGES[] = { // of Unicode: exact for ASCII, else the letters, numbers and spaces met most
    {'a', 'z', LETTER},
    {'A', 'Z', LETTER},
    {' ', ' ', SPACE},
    {'0', '9', NUMBER},
    {9, 13, SPACE}};

/* The code point at `at`, its bytes in *size; -1 of one byte where no valid UTF-8 starts. */
static int code_point(const uint8_t *at, const uint8_t *end, int *size) {
    static const int smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    int n = *at < 0x80 ? 1 : *at < 0xc0 ? 0 : *at < 0xe0 ? 2 : *at < 0xf0 ? 3 : *at < 0xf8 ? 4 : 0;
    int code = n > 1 ? *at & 0x7f >> n : *at;
    *size = 1;
    if (!n || n > end - at) return -1;
    for (int i = 1; i < n; i++) {
        if (at[i] >> 6 != 2) return -1;
        code = code << 6 | (at[i] & 0x3f);
    }
    if (code < smallest[n] || code >> 11 == 0x1b || code > 0x10ffff) return -1;
    *size = n;
    return code;
}

static int kind_of(const uint8_t *at, const uint8_t *end, int *size) {
    int code = code_point(at, end, size);
    for (size_t i = 0; i < sizeof RANGES / sizeof *RANGES; i++)
        if (RANGES[i].first <= code && code <= RANGES[i].last) return RANGES[i].kind;
    return OTHER;
}

/* The end of GPT-2's next word, no merge goes beyond it:
   's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+ */
static const uint8_t *word_end(const uint8_t *at, const uint8_t *end) {
    static const char *const ENDINGS[] = {"'s", "'t", "'re", "'ve", "'m", "'ll", "'d"};
    for (int i = 0; i < 7; i++) {
        size_t n = strlen(ENDINGS[i]);
        if ((size_t)(end - at) >= n && !memcmp(at, ENDINGS[i], n)) return at + n;
    }
    int size, kind = kind_of(at, end, &size), next = kind;
    if (*at == ' ' && at + 1 < end) next = kind_of(at + 1, end, &size);
    if (next != SPACE) at += *at == ' ', kind = next;
    const uint8_t *last = at, *p = at;
    for (; p < end && kind_of(p, end, &size) == kind; p += size) last = p;
    return kind == SPACE && p < end && last > at ? last : p; // leave the next word its space
}
