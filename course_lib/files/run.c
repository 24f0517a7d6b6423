/* run.c: the second of the two files. model.gguf holds a language model's numbers, this file says
   what to do with them; together they are all it takes.

       cc -O3 -march=native -fopenmp -o run run.c -lm    (vector instructions, several cores)
       ./run model.gguf complete "In that match Virat Kohli hit a"

   It reads GGUF version 3 (the format of llama.cpp), architecture "llama", tensors in F32, F16 and
   Q8_0, byte-level BPE cut as gpt-2 or smollm cut, and chats in ChatML. Left out: GPUs, batches,
   other architectures and quantisations, other chat templates, rare letters (see RANGES),
   big-endian processors, and free(): the end comes soon. Each floor stands on those above. */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#ifdef _WIN32
#include <windows.h>
#endif

/* ---- Options, errors and memory ---- */
// By letter: new tokens, temperature, top-k, top-p, seed, context, threads, ids instead of text.
static double option[128] = {['t'] = 1, ['k'] = 1e9, ['p'] = 1, ['c'] = 4096, ['j'] = 1};
#define die(...) (fprintf(stderr, "run: " __VA_ARGS__), fputc('\n', stderr), exit(1))
#define SHOW(b) (int)((b).size < 60 ? (b).size : 60), (const char *)(b).at // for "%.*s"
#define TOO_LONG "the text is too long: the context has room for %d tokens"
typedef struct {
    const uint8_t *at; // a stretch of bytes; no zero marks its end
    size_t size;
} Bytes;
static Bytes bytes(const char *s) { return (Bytes){(const uint8_t *)s, strlen(s)}; }
static int same(Bytes a, const char *s) { return a.size == strlen(s) && !memcmp(a.at, s, a.size); }
static void *allocate(size_t count, size_t size) {
    void *memory = calloc(count ? count : 1, size); // zeroed; refuses a product that overflows
    if (!memory) die("not enough memory (option -c asks for a smaller context)");
    return memory;
}
static float *floats(size_t count) { return allocate(count, sizeof(float)); }

/* ---- GGUF: a header, named values, named tensors, then the numbers of the tensors ---- */
enum { F32 = 0, F16 = 1, Q8_0 = 8 }; // types of a tensor; those of a value, and their bytes:
enum { FLOAT32 = 6, TEXT = 8, ARRAY = 9, FLOAT64 = 12, N_TYPES = 13 };
static const int BYTES[N_TYPES] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
typedef struct {
    Bytes name;
    size_t rows, cols, type, offset, row_size; // shape (rows, cols); the file says cols first
    const uint8_t *data;                       // row after row of row_size bytes
} Tensor;
typedef struct {
    Bytes file;                              // all of it, in memory
    size_t at, n_values, n_tensors, numbers; // at: where take() goes on
    Tensor *tensors;
} Gguf;
/* The next `size` bytes. The whole header passes here, so nothing reads beyond the file's end. */
static const uint8_t *take(Gguf *g, uint64_t size) {
    if (size > g->file.size - g->at) die("the file is cut short or damaged: it ends too early");
    return g->at += size, g->file.at + g->at - size;
}
static uint64_t take_int(Gguf *g, int size) {
    uint64_t number = 0;
    return memcpy(&number, take(g, size), size), number;
}
static Bytes take_text(Gguf *g) {
    uint64_t size = take_int(g, 8);
    return (Bytes){take(g, size), size};
}
static size_t find(Gguf *g, const char *name) { // goes to a value, returns its type or N_TYPES
    g->at = 24;                                 // after "GGUF", the version and two counts
    for (size_t i = 0; i < g->n_values; i++) {
        Bytes found = take_text(g);
        size_t type = take_int(g, 4), start = g->at, item = type, n = 1;
        if (type == ARRAY) item = take_int(g, 4), start = g->at, n = take_int(g, 8);
        if (item >= N_TYPES || item == ARRAY || n > g->file.size) die("the file is damaged");
        for (take(g, n * BYTES[item]); item == TEXT && n; n--) take_text(g);
        if (same(found, name)) return g->at = start, type;
    }
    return N_TYPES;
}
static int array(Gguf *g, const char *s) { return find(g, s) == ARRAY ? take_int(g, 8) : 0; }
static Bytes text(Gguf *g, const char *s) { return find(g, s) == TEXT ? take_text(g) : bytes(""); }
/* The number called `name`, or `missing`; either must lie in [low, high]. */
static double number(Gguf *g, const char *name, double missing, double low, double high) {
    size_t type = find(g, name);
    uint64_t whole = type < N_TYPES ? take_int(g, BYTES[type]) : 0;
    double result = type < N_TYPES ? whole : missing; // a negative whole number turns huge
    if (type == FLOAT64) memcpy(&result, &whole, 8);
    if (type == FLOAT32) result = *(float *)memcpy(&(float){0}, &whole, 4);
    if (!(result >= low && result <= high)) die("%s must be from %g to %g", name, low, high);
    return result;
}
static void read_gguf(Gguf *g, const char *path, FILE *f) {
    long size = !f || fseek(f, 0, SEEK_END) ? -1 : ftell(f);
    if (size < 0 || fseek(f, 0, SEEK_SET) || ungetc(getc(f), f) == EOF) die("can't read %s", path);
    g->file = (Bytes){allocate(size + 1UL, 1), size};
    if (fread((void *)g->file.at, 1, size, f) != g->file.size) die("can't read all of %s", path);
    if (size < 24 || memcmp(take(g, 8), "GGUF\3\0\0", 8)) die("%s is no GGUF of version 3", path);
    g->n_tensors = take_int(g, 8), g->n_values = take_int(g, 8);
    g->tensors = allocate(g->n_tensors, sizeof(Tensor));
    size_t align = number(g, "general.alignment", 32, 4, 1 << 20);
    find(g, ""); // no value has this name, so it goes to their end
    for (Tensor *t = g->tensors; t < g->tensors + g->n_tensors; t++) {
        t->name = take_text(g), t->rows = 1;
        for (uint64_t d = 0, n_dims = take_int(g, 4); d < n_dims; d++)
            *(d ? &t->rows : &t->cols) = take_int(g, 8);
        t->type = take_int(g, 4), t->offset = take_int(g, 8);
    }
    take(g, (align - g->at % align) % align), g->numbers = g->at;
}
static Tensor *tensor(Gguf *g, int layer, const char *part, uint64_t rows, uint64_t cols) {
    char name[64];
    if (layer < 0) snprintf(name, sizeof name, "%s.weight", part);
    else snprintf(name, sizeof name, "blk.%d.%s.weight", layer, part);
    Tensor *t = g->tensors, *end = t + g->n_tensors;
    while (t < end && !same(t->name, name)) t++;
    size_t type = t < end ? t->type : N_TYPES, room = g->file.size - g->numbers;
    size_t row_size = type == F32 ? cols * 4 : type == F16 ? cols * 2 : 0;
    if (type == Q8_0 && cols % 32 == 0) row_size = cols / 32 * 34;
    if (!row_size || t->rows != rows || t->cols != cols || (g->numbers + t->offset) % 4 ||
        t->offset > room || rows > (room - t->offset) / row_size)
        die("the file lacks %s, %d x %d in F32, F16 or Q8_0", name, (int)rows, (int)cols);
    return t->row_size = row_size, t->data = g->file.at + g->numbers + t->offset, t;
}

/* ---- Model: shape, weights, and the scratch paper of a forward pass ---- */
typedef struct {
    const Tensor *attn_norm, *q, *k, *v, *o;   // (1, C), (C, C), (kv_dim, C), (kv_dim, C), (C, C)
    const Tensor *ffn_norm, *gate, *up, *down; // (1, C), (ffn_dim, C), (ffn_dim, C), (C, ffn_dim)
    float *keys, *values;                      // KV cache: (context_length, kv_dim)
} Layer;
typedef struct {
    int vocab_size, context_length, dim, n_layers, n_heads, n_kv_heads, head_dim, kv_dim, ffn_dim;
    int length; // how many tokens the KV cache holds
    float rope_theta, norm_eps;
    const Tensor *embedding, *output, *norm; // (vocab_size, C), (vocab_size, C), (1, C); C is dim
    Layer *layers;
    float *x, *normed, *q, *sum;        // (C): residual stream, its norm, queries, attention's sums
    float *scores, *gate, *up, *logits; // (n_heads, context_length), twice (ffn_dim), (vocab_size)
} Model;
static void load_model(Model *m, Gguf *g, int V, double longest) {
    Bytes architecture = text(g, "general.architecture");
    if (!same(architecture, "llama")) die("can't run architecture '%.*s'", SHOW(architecture));
    if (text(g, "llama.rope.scaling.type").size) die("can't run a model that scales RoPE");
    int L = m->n_layers = number(g, "llama.block_count", 0, 1, 1e4);
    int C = m->dim = number(g, "llama.embedding_length", 0, 1, 1e6);
    int F = m->ffn_dim = number(g, "llama.feed_forward_length", 0, 1, 1e6);
    int H = m->n_heads = number(g, "llama.attention.head_count", 0, 1, C);
    int K = m->n_kv_heads = number(g, "llama.attention.head_count_kv", H, 1, H);
    int D = m->head_dim = number(g, "llama.rope.dimension_count", C / H, 2, C);
    size_t T = m->context_length = fmin(longest, number(g, "llama.context_length", 0, 1, 1e9));
    if (D * (size_t)H != (size_t)C || D % 2 || H % K) die("can't split dim %d into %d heads", C, H);
    int kv_dim = m->kv_dim = D * K, is_tied = g->n_tensors == 9UL * L + 2;
    m->vocab_size = V, m->rope_theta = number(g, "llama.rope.freq_base", 10000, 1, 1e30);
    m->norm_eps = number(g, "llama.attention.layer_norm_rms_epsilon", 1e-5, 0, 1);
    if (!is_tied && g->n_tensors != 9UL * L + 3) die("can't run a model with biases or parts gone");
    m->embedding = tensor(g, -1, "token_embd", V, C);
    m->output = is_tied ? m->embedding : tensor(g, -1, "output", V, C);
    m->norm = tensor(g, -1, "output_norm", 1, C), m->layers = allocate(L, sizeof(Layer));
    for (int i = 0; i < L; i++) {
        Layer *l = &m->layers[i];
        l->q = tensor(g, i, "attn_q", C, C), l->o = tensor(g, i, "attn_output", C, C);
        l->k = tensor(g, i, "attn_k", kv_dim, C), l->v = tensor(g, i, "attn_v", kv_dim, C);
        l->gate = tensor(g, i, "ffn_gate", F, C), l->up = tensor(g, i, "ffn_up", F, C);
        l->down = tensor(g, i, "ffn_down", C, F), l->ffn_norm = tensor(g, i, "ffn_norm", 1, C);
        l->attn_norm = tensor(g, i, "attn_norm", 1, C);
        l->keys = floats(T * kv_dim), l->values = floats(T * kv_dim);
    }
    m->x = floats(C), m->normed = floats(C), m->q = floats(C), m->sum = floats(C);
    m->gate = floats(F), m->up = floats(F), m->logits = floats(V), m->scores = floats(H * T);
}

/* ---- Maths ---- */
static float from_half(uint16_t half) { // 1 bit of sign, 5 of exponent, 10 of fraction
    uint32_t bits = (uint32_t)(int16_t)half << 13 & 0x8fffffff; // where a float has them
    return *(float *)memcpy(&(float){0}, &bits, 4) * 0x1p112f;  // exponents there start 112 lower
}
static float weight(size_t type, const uint8_t *row, size_t i) { // number i of a row
    if (type == F32) return ((const float *)row)[i];
    if (type == F16) return from_half(((const uint16_t *)row)[i]);
    row += i / 32 * 34; // Q8_0: blocks of a scale in F16 and 32 whole numbers from -127 to 127
    return from_half(*(const uint16_t *)row) * (int8_t)row[2 + i % 32];
}
/* A row times x. Sixteen sums grow side by side: with a single one no vector could help. */
enum { LANES = 16 };
static inline float dot(size_t type, const void *row, const float *x, int n) {
    float sums[LANES] = {0}, rest = 0;
    for (int i = 0; i + LANES <= n; i += LANES)
        for (int j = 0; j < LANES; j++) sums[j] += weight(type, row, i + j) * x[i + j];
    for (int i = n - n % LANES; i < n; i++) rest += weight(type, row, i) * x[i];
    for (int j = 0; j < LANES; j++) rest += sums[j];
    return rest;
}
static float dot_q8_0(const void *row, const float *x, int n) {
    float sums[LANES] = {0};
    for (const uint8_t *block = row; n > 0; n -= 32, block += 34, x += 32) {
        const int8_t *w = (const int8_t *)block + 2;
        float scale = from_half(*(const uint16_t *)block);
        for (int j = 0; j < LANES; j++) sums[j] += scale * (w[j] * x[j] + w[j + 16] * x[j + 16]);
    }
    for (int j = 1; j < LANES; j++) sums[0] += sums[j];
    return sums[0];
}
static void matmul(float *out, const Tensor *w, const float *x) { // out = w @ x
#pragma omp parallel for num_threads((int)option['j']) if (w->rows * w->cols > 100000)
    for (size_t i = 0; i < w->rows; i++)
        if (w->type == F32) out[i] = dot(F32, w->data + i * w->row_size, x, w->cols);
        else if (w->type == F16) out[i] = dot(F16, w->data + i * w->row_size, x, w->cols);
        else out[i] = dot_q8_0(w->data + i * w->row_size, x, w->cols);
}
static void rmsnorm(Model *m, const Tensor *w) { // normed = x / sqrt(mean(x^2) + eps) * w
    float scale = 1 / sqrtf(dot(F32, m->x, m->x, m->dim) / m->dim + m->norm_eps);
    for (int i = 0; i < m->dim; i++) m->normed[i] = m->x[i] * scale * weight(w->type, w->data, i);
}
static void softmax(float *x, int n) {
    float max = x[0], sum = 0;
    for (int i = 1; i < n; i++) max = x[i] > max ? x[i] : max;
    for (int i = 0; i < n; i++) sum += x[i] = expf(x[i] - max);
    for (int i = 0; i < n; i++) x[i] /= sum;
    if (isnan(sum)) die("the model computes what is not a number: the file is damaged");
}
static void rotate(const Model *m, float *x, int n_heads) { // RoPE: turns each pair of a head
    for (int i = 0; i < m->head_dim; i += 2) {
        float angle = m->length * powf(m->rope_theta, -(float)i / m->head_dim);
        float c = cosf(angle), s = sinf(angle);
        for (float *pair = x + i; pair < x + n_heads * m->head_dim; pair += m->head_dim) {
            float a = pair[0], b = pair[1];
            pair[0] = a * c - b * s, pair[1] = a * s + b * c;
        }
    }
}

/* ---- Forward pass: a token goes into the KV cache, its residual stream comes out ---- */
static void attention(Model *m, const Layer *l) {
    size_t D = m->head_dim, n = m->length + 1, kv_dim = m->kv_dim;
    float *key = l->keys + m->length * kv_dim, *value = l->values + m->length * kv_dim;
    matmul(m->q, l->q, m->normed), matmul(key, l->k, m->normed), matmul(value, l->v, m->normed);
    rotate(m, m->q, m->n_heads), rotate(m, key, m->n_kv_heads);
#pragma omp parallel for num_threads((int)option['j']) if (n * m->dim > 100000)
    for (int h = 0; h < m->n_heads; h++) {
        float *scores = m->scores + (size_t)h * m->context_length, *sum = m->sum + h * D;
        size_t shared = h * m->n_kv_heads / m->n_heads * D; // several heads use the same keys
        for (size_t t = 0; t < n; t++)
            scores[t] = dot(F32, m->q + h * D, l->keys + t * kv_dim + shared, D) / sqrtf(D);
        softmax(scores, n), memset(sum, 0, D * sizeof(float));
        for (size_t t = 0; t < n; t++)
            for (size_t i = 0; i < D; i++) sum[i] += scores[t] * l->values[t * kv_dim + shared + i];
    }
}
static void feed_forward(Model *m, const Layer *l) { // SwiGLU: up @ x * silu(gate @ x)
    matmul(m->gate, l->gate, m->normed), matmul(m->up, l->up, m->normed);
    for (int i = 0; i < m->ffn_dim; i++) m->up[i] *= m->gate[i] / (1 + expf(-m->gate[i]));
}
static void add(Model *m, const Tensor *w, const float *x) { // to the residual stream: w @ x
    matmul(m->normed, w, x);
    for (int i = 0; i < m->dim; i++) m->x[i] += m->normed[i];
}
static void forward(Model *m, int token) {
    const uint8_t *row = m->embedding->data + token * m->embedding->row_size;
    for (int i = 0; i < m->dim; i++) m->x[i] = weight(m->embedding->type, row, i);
    for (Layer *l = m->layers; l < m->layers + m->n_layers; l++) {
        rmsnorm(m, l->attn_norm), attention(m, l), add(m, l->o, m->sum);
        rmsnorm(m, l->ffn_norm), feed_forward(m, l), add(m, l->down, m->up);
    }
    m->length++;
}

/* ---- Tokenizer: byte-level BPE ---- */
typedef struct {
    Bytes name, bytes;  // how the file spells it, what it stands for
    int id, is_control; // control tokens are never found in a text
} Token;
typedef struct {
    int n_tokens, n_text, digits, bos, eos, im_start, im_end; // no such token: -1
    size_t longest;                                           // bytes of the longest token
    Token *tokens, *sorted; // by id; all but control tokens by their bytes
} Tokenizer;
enum { LETTER, NUMBER, SPACE, OTHER }; // first and last of each range: ASCII, and what is common
static const uint32_t *const RANGES[] = {
    (U"azAZªªµµººÀÖØöøˁΆΆΈҁҊՖՠֈ\u05d0\u05f2\u0620\u064a\u0671\u06d3अहกะ"
     U"ႠቈḀᾼぁゖァヺーヿ㐀\u4dbf一ꒌ가힣ＡＺａｚｦￜ\U00020000\U000323af"),
    U"09²³¹¹¼¾\u0660\u0669०९⅐ↂ①⒛０９", U"\t\r  \u00a0\u00a0\u2000\u200a\u2028\u2029\u3000\u3000"};
/* The code point at `at`, and its number of bytes. Malformed UTF-8 gives one that means nothing. */
static uint32_t code_point(const uint8_t *at, const uint8_t *end, int *size) {
    int n = *at < 0xc0 ? 1 : *at < 0xe0 ? 2 : *at < 0xf0 ? 3 : 4;
    uint32_t code = n > 1 ? *at & 0x7f >> n : *at;
    for (int i = 1; i < n && at + i < end; i++) code = code << 6 | (at[i] & 0x3f);
    return *size = n < end - at ? n : end - at, code;
}
static int kind_of(const uint8_t *at, const uint8_t *end, int *size) {
    uint32_t code = code_point(at, end, size);
    for (int kind = LETTER; kind < OTHER; kind++)
        for (const uint32_t *r = RANGES[kind]; *r; r += 2)
            if (r[0] <= code && code <= r[1]) return kind;
    return OTHER;
}
/* The end of the word at `at`, as GPT-2 cuts text into words (no token spans two of them):
   's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+ */
static const uint8_t *word_end(const uint8_t *at, const uint8_t *end, int digits) {
    static const char *const SHORT[] = {"'s", "'t", "'re", "'ve", "'m", "'ll", "'d"};
    for (size_t i = 0, n; i < 7; i++)
        if ((size_t)(end - at) >= (n = strlen(SHORT[i])) && !memcmp(at, SHORT[i], n)) return at + n;
    int size, kind = kind_of(at, end, &size), after = OTHER;
    const uint8_t *next = at + size, *last = at; // the next character and the last of this word
    if (digits && kind == NUMBER) return next;   // smollm: each is a word of its own
    if (*at == ' ' && next < end && (after = kind_of(next, end, &size)) != SPACE)
        if (!digits || after != NUMBER) kind = after; // the word begins with this space
    while (next < end && (after = kind_of(next, end, &size)) == kind) last = next, next += size;
    int spare = next < end && !(digits && after == NUMBER); // the last space begins the next word
    return kind == SPACE && spare && last > at ? last : next;
}
static int by_bytes(const void *a, const void *b) {
    Bytes x = ((const Token *)a)->bytes, y = ((const Token *)b)->bytes;
    return x.size != y.size ? (x.size < y.size ? -1 : 1) : memcmp(x.at, y.at, x.size);
}
static int look_up(const Tokenizer *t, const uint8_t *at, size_t size) {
    Token k = {.bytes = {at, size}}, *found = bsearch(&k, t->sorted, t->n_text, sizeof k, by_bytes);
    return found ? found->id : -1;
}
/* Adds a text's ids to the n in `ids`, where two per byte fit; returns their number. A word starts
   as its bytes; then neighbours merge, to the smallest id first: that is the order of training. */
static int encode(const Tokenizer *t, Bytes text, int *ids, int n) {
    for (const uint8_t *word = text.at, *end = word + text.size, *stop; word < end; word = stop) {
        int *first = ids + n, size = 0;
        stop = word_end(word, end, t->digits);
        for (const uint8_t *at = word; at < stop; at++)
            if ((first[size] = look_up(t, at, 1)) >= 0) size++;
            else stop = at + 1; // a byte that this tokenizer lacks is left out
        for (int *pairs = first + size, best = 0, kept; best >= 0; size = kept) {
            best = -1, kept = 0;
            for (int i = 0, at = 0; i + 1 < size; at += t->tokens[first[i++]].bytes.size) {
                Bytes left = t->tokens[first[i]].bytes, right = t->tokens[first[i + 1]].bytes;
                pairs[i] = look_up(t, word + at, left.size + right.size);
                if (pairs[i] >= 0 && (best < 0 || pairs[i] < best)) best = pairs[i];
            }
            for (int i = 0, merges; i < size; i += 1 + merges) {
                merges = best >= 0 && i + 1 < size && pairs[i] == best;
                first[kept++] = merges ? best : first[i];
            }
        }
        n += size;
    }
    return n;
}
static void load_tokenizer(Tokenizer *t, Gguf *g) {
    Bytes kind = text(g, "tokenizer.ggml.model"), pre = text(g, "tokenizer.ggml.pre");
    t->digits = same(pre, "smollm");
    if (!same(kind, "gpt2") || !(t->digits || same(pre, "gpt-2")))
        die("can't run tokenizer '%.*s' with '%.*s', only gpt2 with gpt-2", SHOW(kind), SHOW(pre));
    int n = t->n_tokens = array(g, "tokenizer.ggml.tokens"), size;
    t->tokens = allocate(n, sizeof(Token)), t->sorted = allocate(n, sizeof(Token));
    for (int i = 0; i < n; i++) t->tokens[i].name = take_text(g);
    if (n < 1 || array(g, "tokenizer.ggml.token_type") != n) die("the file lacks tokens or types");
    for (int i = 0; i < n; i++) {
        Bytes name = t->tokens[i].name;
        t->tokens[i] = (Token){name, name, i, take_int(g, 4) != 1};
        if (t->tokens[i].is_control && same(name, "<|im_start|>")) t->im_start = i;
        if (t->tokens[i].is_control && same(name, "<|im_end|>")) t->im_end = i;
        if (t->tokens[i].is_control) continue;
        uint8_t *raw = allocate(name.size, 1), *to = raw;
        for (const uint8_t *at = name.at; at < name.at + name.size; at += size) {
            uint32_t code = code_point(at, name.at + name.size, &size);
            if (code > 323) die("token %d is not in GPT-2's alphabet", i);
            // There a byte that can't be printed is the next free character from 256 on.
            *to++ = code < 256 ? code : code < 289 ? code - 256 : code < 323 ? code - 162 : 173;
        }
        t->tokens[i].bytes = (Bytes){raw, to - raw};
        t->longest = t->longest > name.size ? t->longest : name.size;
        t->sorted[t->n_text++] = t->tokens[i];
    }
    qsort(t->sorted, t->n_text, sizeof(Token), by_bytes);
    int add_bos = number(g, "tokenizer.ggml.add_bos_token", 0, 0, 1);
    t->bos = add_bos ? number(g, "tokenizer.ggml.bos_token_id", -1, 0, n - 1) : -1;
    t->eos = number(g, "tokenizer.ggml.eos_token_id", -1, -1, n - 1);
}

/* ---- Sampler ---- */
static const float *probs;                      // of all tokens, for by_p
static uint64_t dice;                           // state of splitmix64
static int by_p(const void *a, const void *b) { // likeliest first, of equals the smaller id
    int x = *(const int *)a, y = *(const int *)b;
    return probs[x] != probs[y] ? (probs[x] < probs[y] ? 1 : -1) : x - y;
}
/* The ids of what may come next, likeliest first; returns how many the options leave. */
static int next_tokens(Model *m, int *ids) {
    int V = m->vocab_size, k = 0, n = 0, greedy = option['t'] < 1e-3;
    float *p = m->logits, sum = 0, kept = 0;
    rmsnorm(m, m->norm), matmul(p, m->output, m->normed);
    for (int i = 0; i < V; i++) p[i] /= greedy ? 1 : option['t'], ids[i] = i;
    for (int i = 0; i < V && greedy; i++) *ids = p[i] > p[*ids] ? i : *ids;
    softmax(p, V), probs = p, V = greedy ? 1 : V; // then nobody needs the order of the others
    qsort(ids, V, sizeof(int), by_p);
    // Top-k keeps what is as likely as the last of the k; top-p the fewest that reach p together.
    while (k < V && (!k || k < option['k'] || p[ids[k]] == p[ids[k - 1]])) sum += p[ids[k++]];
    while (n < k && (!n || option['p'] >= 1 || kept < option['p'] * sum)) kept += p[ids[n++]];
    for (int i = 0; i < n; i++) p[ids[i]] /= kept;
    return n;
}
static int draw(const int *ids, int n) {
    uint64_t z = dice = (dice ? dice : (uint64_t)option['s']) + 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9, z = (z ^ z >> 27) * 0x94d049bb133111eb;
    double left = ((z ^ z >> 31) >> 11) * 0x1p-53; // uniform in [0, 1)
    while (n-- > 1 && (left -= probs[*ids]) >= 0) ids++;
    return *ids;
}

/* ---- Modes ---- */
/* The input as far as `end`, cut where it can't fit any more; nowhere if there is nothing left. */
static Bytes read_input(const Model *m, const Tokenizer *t, int end) {
    size_t n = 0, limit = (m->context_length + 1UL) * t->longest; // in bytes
    uint8_t *all = allocate(limit, 1);
    int c;
    while ((c = getchar()) != EOF && c != end) n < limit ? all[n++] = c : 0;
    return (Bytes){c == EOF && !n ? NULL : all, n};
}
/* Reads n ids; then writes what follows token by token, or lists the tokens that may be next. */
static void generate(Model *m, const Tokenizer *t, const int *prompt, int n, int is_list) {
    int *ids = allocate(m->vocab_size, sizeof(int)), stop = is_list;
    if (m->length + n > m->context_length) die(TOO_LONG, m->context_length);
    for (int i = 0; i < n; i++) forward(m, prompt[i]);
    for (int i = 0; i < n && option['x']; i++) printf("%d%s", prompt[i], i + 1 < n ? " " : "\n");
    for (int i = 0, end = is_list ? next_tokens(m, ids) : 0; i < end && i < option['n']; i++)
        printf("%d\t%.8f\t%.*s\n", ids[i], probs[ids[i]], SHOW(t->tokens[ids[i]].name));
    for (int i = 0; !stop && i < option['n'] && m->length < m->context_length; i++) {
        Token token = t->tokens[draw(ids, next_tokens(m, ids))];
        if (option['x']) printf("%d ", token.id);
        else if (!token.is_control) fwrite(token.bytes.at, 1, token.bytes.size, stdout);
        fflush(stdout), stop = token.id == t->eos || token.id == t->im_end;
        if (!stop) forward(m, token.id);
    }
    if (!is_list) putchar('\n');
    if (m->length == m->context_length) fputs("[the context is full]\n", stderr);
}
/* Adds <|im_start|>{role}{said}<|im_end|>\n to the n in `ids`; returns their number. */
static int add_turn(const Tokenizer *t, const char *role, Bytes said, int *ids, int n) {
    size_t start = strlen(role); // it ends with a newline, which may be part of a longer token
    uint8_t *turn = memcpy(allocate(start + said.size, 1), role, start);
    memcpy(turn + start, said.at, said.size);
    ids[n++] = t->im_start, n = encode(t, (Bytes){turn, start + said.size}, ids, n);
    return ids[n++] = t->im_end, encode(t, bytes("\n"), ids, n);
}
/* Answers the message or each line of input. A full context is emptied, but for `system`. */
static void chat(Model *m, const Tokenizer *t, Gguf *g, Bytes system, const char *message) {
    Bytes template = text(g, "tokenizer.chat_template"), line; // a 0 follows it somewhere
    if (!strstr((const char *)template.at, "<|im_start|>") || t->im_start < 0 || t->im_end < 0)
        die("this model's chat template is not ChatML, all that run.c knows: try complete");
    while ((line = message ? bytes(message) : read_input(m, t, '\n')).at) {
        if (line.size && line.at[line.size - 1] == '\r') line.size--; // Windows ends lines with it
        int *ids = allocate(2 * (system.size + line.size) + 99, sizeof(int)), first = t->bos >= 0;
        ids[0] = t->bos, first = system.size ? add_turn(t, "system\n", system, ids, first) : first;
        int n = add_turn(t, "user\n", line, ids, first), fits = n + 25 <= m->context_length;
        if (fits && m->length - first + n + 25 > m->context_length) m->length = 0; // 25: to answer
        if (m->length) ids[0] = t->im_end, n = encode(t, bytes("\n"), ids, 1);
        if (m->length) n = add_turn(t, "user\n", line, ids, n);
        ids[n++] = t->im_start, n = encode(t, bytes("assistant\n"), ids, n);
        if (message || fits) generate(m, t, ids, n, 0);
        else fprintf(stderr, "[" TOO_LONG "]\n", m->context_length);
        if (message) return;
    }
}

/* ---- Main ---- */
static const char USAGE[] =
    "usage: run MODEL.gguf MODE [TEXT] [OPTIONS]; without TEXT it reads standard input. MODE is\n"
    "complete (goes on with the text), chat (answers it, or each line of input) or probs (lists\n"
    "likely next tokens). OPTIONS: -n new tokens (256), or lines of probs (10)   -t temperature\n"
    "-k top-k   -p top-p   -s seed   -i system message   -c context   -j threads   -x 1 for ids";
int main(int argc, char **argv) {
    FILE *file = argc > 1 ? fopen(argv[1], "rb") : NULL;
#ifdef _WIN32 // there arguments are UTF-16, and "\n" would be written as "\r\n"
    int _setmode(int, int);
    wchar_t **wide = CommandLineToArgvW(GetCommandLineW(), &argc);
    file = argc > 1 ? _wfopen(wide[1], L"rb") : NULL, argv = allocate(argc + 1, sizeof *argv);
    for (int i = 0; i < argc; i++) // no command line is longer than 32,767 units of UTF-16
        WideCharToMultiByte(CP_UTF8, 0, wide[i], -1, argv[i] = allocate(1 << 17, 1), 1 << 17, 0, 0);
    _setmode(0, 0x8000), _setmode(1, 0x8000), SetConsoleCP(65001), SetConsoleOutputCP(65001);
#endif
    Gguf g = {0};
    Tokenizer t = {.im_start = -1, .im_end = -1};
    Model m = {0};
    const char *mode = argc > 2 ? argv[2] : "", *text = argc > 3 && argc % 2 == 0 ? argv[3] : NULL;
    Bytes system = {0};
    int is_chat = !strcmp(mode, "chat"), is_probs = !strcmp(mode, "probs");
    if (!is_chat && !is_probs && strcmp(mode, "complete")) die("%s", USAGE);
    option['s'] = time(NULL), option['n'] = is_probs ? 10 : 256;
    for (int i = text ? 4 : 3; i < argc; i += 2) {
        char *s = argv[i], *end;
        double v = option[s[0] ? s[1] & 127 : 0] = strtod(argv[i + 1], &end);
        if (is_chat && !strcmp(s, "-i")) system = bytes(argv[i + 1]);
        else if (*s != '-' || strlen(s) != 2 || !strchr("ntkpscjx", s[1]) || *end ||
                 !(v >= (s[1] == 'j') && v <= (s[1] == 'j' ? 1024 : 1e19)))
            die("can't understand %s %s\n%s", s, argv[i + 1], USAGE);
    }
    read_gguf(&g, argv[1], file), load_tokenizer(&t, &g);
    load_model(&m, &g, t.n_tokens, option['c']);
    if (is_chat) return chat(&m, &t, &g, system, text), 0;
    Bytes prompt = text ? bytes(text) : read_input(&m, &t, EOF);
    int *ids = allocate(2 * prompt.size + 1, sizeof(int)), n = t.bos >= 0;
    ids[0] = t.bos, n = prompt.at ? encode(&t, prompt, ids, n) : n;
    if (!n) die("there is nothing to start from: no text, and no token that begins one");
    return generate(&m, &t, ids, n, is_probs), 0;
}
