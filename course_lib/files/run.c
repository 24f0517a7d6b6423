/* run.c: the second of the two files. model.gguf holds a language model's numbers, this file says
   what to do with them; together they are all it takes.

       cc -O3 -march=native -o run run.c -lm    (both flags: loops as vector instructions)
       ./run model.gguf complete "In that match Virat Kohli hit a"

   It reads GGUF version 3 (the format of llama.cpp), architecture "llama", tensors in F32, F16 and
   Q8_0, byte-level BPE with the pre-tokenizers gpt-2 and smollm, and chats in ChatML. Left out:
   threads, GPUs, batches, other architectures and quantisations, other chat templates, rare letters
   (see LETTERS), big-endian processors, and free(): the end comes soon. Each floor stands on those
   above: errors, GGUF, model, maths, forward pass, tokenizer, sampler, modes, main. */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- Errors and memory ---- */
#define die(...) (fprintf(stderr, "run: " __VA_ARGS__), fputc('\n', stderr), exit(1))
#define SHOW(b) (int)((b).size < 60 ? (b).size : 60), (const char *)(b).at // for "%.*s"

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
enum { F32 = 0, F16 = 1, Q8_0 = 8 };                                      // types of a tensor
enum { FLOAT = 6, TEXT = 8, ARRAY = 9, N_TYPES = 13 };                    // types of a value
static const int SIZE[N_TYPES] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8}; // bytes of a value

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
    g->at += size;
    return g->file.at + g->at - size;
}
static uint64_t take_number(Gguf *g, int size) {
    uint64_t number = 0;
    memcpy(&number, take(g, size), size);
    return number;
}
static Bytes take_text(Gguf *g) {
    uint64_t size = take_number(g, 8);
    return (Bytes){take(g, size), size};
}
static size_t find(Gguf *g, const char *name) { // goes to a value, returns its type or N_TYPES
    g->at = 24;                                 // after "GGUF", the version and two counts
    for (size_t i = 0; i < g->n_values; i++) {
        Bytes found = take_text(g);
        size_t type = take_number(g, 4), start = g->at, n = 1, item = type;
        if (type == ARRAY) item = take_number(g, 4), n = take_number(g, 8);
        if (item >= N_TYPES || item == ARRAY || n > g->file.size) die("the file is damaged");
        for (take(g, n * SIZE[item]); item == TEXT && n; n--) take_text(g);
        if (same(found, name)) return g->at = start, type;
    }
    return N_TYPES;
}
static int array(Gguf *g, const char *name) { // goes to its first item, returns how many it has
    return find(g, name) == ARRAY ? (take_number(g, 4), take_number(g, 8)) : 0;
}
static Bytes text(Gguf *g, const char *s) { return find(g, s) == TEXT ? take_text(g) : bytes(""); }
/* The number called `name`, or `missing`; either must lie in [low, high]. */
static double number(Gguf *g, const char *name, double missing, double low, double high) {
    size_t type = find(g, name);
    uint64_t whole = type < N_TYPES ? take_number(g, SIZE[type]) : 0; // a negative one turns huge
    float real;
    memcpy(&real, &whole, 4);
    double result = type == N_TYPES ? missing : type == FLOAT ? real : whole;
    if (!(result >= low && result <= high)) die("%s must be from %g to %g", name, low, high);
    return result;
}
static void read_gguf(Gguf *g, const char *path) {
    FILE *f = fopen(path, "rb");
    long size = !f || fseek(f, 0, SEEK_END) ? -1 : ftell(f);
    if (size < 0 || fseek(f, 0, SEEK_SET) || ungetc(getc(f), f) == EOF) die("can't read %s", path);
    g->file = (Bytes){allocate(size + 1UL, 1), size};
    if (fread((void *)g->file.at, 1, size, f) != g->file.size) die("can't read all of %s", path);
    if (size < 24 || memcmp(take(g, 8), "GGUF\3\0\0", 8)) die("%s is no GGUF of version 3", path);
    g->n_tensors = take_number(g, 8), g->n_values = take_number(g, 8);
    g->tensors = allocate(g->n_tensors, sizeof(Tensor));
    size_t align = number(g, "general.alignment", 32, 4, 1 << 20);
    find(g, ""); // no value has this name, so it goes to their end
    for (Tensor *t = g->tensors; t < g->tensors + g->n_tensors; t++) {
        t->name = take_text(g), t->rows = 1;
        for (uint64_t d = 0, n_dims = take_number(g, 4); d < n_dims; d++)
            *(d ? &t->rows : &t->cols) = take_number(g, 8);
        t->type = take_number(g, 4), t->offset = take_number(g, 8);
    }
    take(g, (align - g->at % align) % align);
    g->numbers = g->at;
}
static const Tensor *tensor(Gguf *g, int layer, const char *part, uint64_t rows, uint64_t cols) {
    char name[64];
    if (layer < 0) snprintf(name, sizeof name, "%s.weight", part);
    else snprintf(name, sizeof name, "blk.%d.%s.weight", layer, part);
    Tensor *t = g->tensors, *end = t + g->n_tensors;
    while (t < end && !same(t->name, name)) t++;
    if (t == end || t->rows != rows || t->cols != cols)
        die("the file has no tensor %s of shape %d x %d", name, (int)rows, (int)cols);
    size_t room = g->file.size - g->numbers, known = t->type == F32 || t->type == F16;
    if (!known && (t->type != Q8_0 || cols % 32)) die("%s is not in F32, F16 or Q8_0", name);
    t->row_size = t->type == Q8_0 ? cols / 32 * 34 : cols * (t->type == F16 ? 2 : 4);
    if (t->offset % 4 || t->offset > room || rows > (room - t->offset) / t->row_size)
        die("the file is cut short or damaged: it lacks tensor %s", name);
    t->data = g->file.at + g->numbers + t->offset;
    return t;
}

/* ---- Model: shape, weights, and the scratch paper of a forward pass ---- */
typedef struct {
    const Tensor *attn_norm, *q, *k, *v, *o;   // (1, C), (C, C), (kv_dim, C), (kv_dim, C), (C, C)
    const Tensor *ffn_norm, *gate, *up, *down; // (1, C), (ffn_dim, C), (ffn_dim, C), (C, ffn_dim)
    float *keys, *values;                      // KV cache: (context_length, kv_dim)
} Layer;
typedef struct {
    int vocab_size, context_length, dim, n_layers, n_heads, n_kv_heads, head_dim, kv_dim, ffn_dim;
    float rope_theta, norm_eps;
    const Tensor *embedding, *output, *norm; // (vocab_size, C), (vocab_size, C), (1, C); C is dim
    Layer *layers;
    size_t length;               // tokens in the KV cache
    float *x, *normed, *q, *sum; // (C): residual stream, its norm, queries, attention's sums
    float *gate, *up, *row;      // (ffn_dim), (ffn_dim), a row of weights
    float *scores, *logits;      // (context_length), (vocab_size)
} Model;
static void load_model(Model *m, Gguf *g, int vocab_size, double context_length) {
    Bytes architecture = text(g, "general.architecture");
    if (!same(architecture, "llama")) die("can't run architecture '%.*s'", SHOW(architecture));
    if (text(g, "llama.rope.scaling.type").size) die("can't run a model that scales RoPE");
    int L = m->n_layers = number(g, "llama.block_count", 0, 1, 1e4);
    int C = m->dim = number(g, "llama.embedding_length", 0, 1, 1e6);
    int F = m->ffn_dim = number(g, "llama.feed_forward_length", 0, 1, 1e6);
    int H = m->n_heads = number(g, "llama.attention.head_count", 0, 1, C);
    int K = m->n_kv_heads = number(g, "llama.attention.head_count_kv", H, 1, H);
    int D = m->head_dim = number(g, "llama.rope.dimension_count", C / H, 2, C);
    int T = m->context_length = fmin(context_length, number(g, "llama.context_length", 0, 1, 1e9));
    if (D * (size_t)H != (size_t)C || D % 2 || H % K) die("can't split dim %d into %d heads", C, H);
    m->rope_theta = number(g, "llama.rope.freq_base", 10000, 1, 1e30);
    m->norm_eps = number(g, "llama.attention.layer_norm_rms_epsilon", 1e-5, 0, 1);
    m->vocab_size = vocab_size, m->kv_dim = D * K;
    size_t extra = g->n_tensors - 9 * L - 2; // output.weight, unless tied to the embedding
    if (extra > 1) die("can't run %d tensors in %d layers (biases?)", (int)g->n_tensors, L);
    m->embedding = tensor(g, -1, "token_embd", vocab_size, C);
    m->output = extra ? tensor(g, -1, "output", vocab_size, C) : m->embedding;
    m->norm = tensor(g, -1, "output_norm", 1, C), m->layers = allocate(L, sizeof(Layer));
    for (int i = 0; i < L; i++) {
        Layer *l = &m->layers[i];
        l->attn_norm = tensor(g, i, "attn_norm", 1, C),
        l->ffn_norm = tensor(g, i, "ffn_norm", 1, C);
        l->q = tensor(g, i, "attn_q", C, C), l->o = tensor(g, i, "attn_output", C, C);
        l->k = tensor(g, i, "attn_k", D * K, C), l->v = tensor(g, i, "attn_v", D * K, C);
        l->gate = tensor(g, i, "ffn_gate", F, C), l->up = tensor(g, i, "ffn_up", F, C);
        l->down = tensor(g, i, "ffn_down", C, F);
        l->keys = floats((size_t)T * D * K), l->values = floats((size_t)T * D * K);
    }
    m->x = floats(C), m->normed = floats(C), m->q = floats(C), m->sum = floats(C);
    m->gate = floats(F), m->up = floats(F), m->row = floats(C > F ? C : F);
    m->scores = floats(T), m->logits = floats(vocab_size);
}

/* ---- Maths ---- */
static float from_half(uint16_t half) { // sign, 5 bits of exponent, 10 of fraction
    uint32_t sign = (half & 0x8000u) << 16, rest = half & 0x7fff, tiny = rest < 0x400;
    uint32_t bits = (rest << 13) + ((rest < 0x7c00 ? 112 + tiny : 224) << 23) + sign;
    uint32_t spare = tiny * (113u << 23) + sign; // a tiny number has no leading 1: take it off
    float value, leading;
    memcpy(&value, &bits, 4), memcpy(&leading, &spare, 4);
    return value - leading;
}
/* Row i as floats: where it lies if it is F32, else unpacked into `room`. */
static const float *row_of(const Tensor *t, size_t i, float *restrict room) {
    const uint8_t *data = t->data + i * t->row_size;
    if (t->type == F32) return (const float *)data;
    for (size_t c = 0; t->type == F16 && c < t->cols; c++)
        room[c] = from_half(((const uint16_t *)data)[c]);
    for (size_t block = 0; t->type == Q8_0 && block < t->cols; block += 32, data += 34) {
        float scale = from_half(*(const uint16_t *)data); // then 32 numbers of a byte
        for (int c = 0; c < 32; c++) room[block + c] = scale * (int8_t)data[2 + c];
    }
    return room;
}
/* Sixteen sums side by side: a single one has a fixed order, which would rule out vectors. */
static float dot(const float *a, const float *b, int n) {
    float sums[16] = {0}, sum = 0;
    for (int i = 0; i + 16 <= n; i += 16)
        for (int j = 0; j < 16; j++) sums[j] += a[i + j] * b[i + j];
    for (int i = n - n % 16; i < n; i++) sum += a[i] * b[i];
    for (int j = 0; j < 16; j++) sum += sums[j];
    return sum;
}
static void matmul(Model *m, float *out, const Tensor *w, const float *x) { // out = w @ x
    for (size_t i = 0; i < w->rows; i++) out[i] = dot(row_of(w, i, m->row), x, w->cols);
}
static void rmsnorm(Model *m, const Tensor *weight) { // normed = x / sqrt(mean(x^2) + eps) * weight
    const float *w = row_of(weight, 0, m->row);
    float scale = 1 / sqrtf(dot(m->x, m->x, m->dim) / m->dim + m->norm_eps);
    for (int i = 0; i < m->dim; i++) m->normed[i] = m->x[i] * scale * w[i];
}
static void softmax(float *x, int n) {
    float max = x[0], sum = 0;
    for (int i = 1; i < n; i++) max = x[i] > max ? x[i] : max;
    for (int i = 0; i < n; i++) sum += x[i] = expf(x[i] - max);
    for (int i = 0; i < n; i++) x[i] /= sum;
    if (isnan(sum)) die("the model computes what is not a number: the file is damaged");
}
static void rotate(const Model *m, float *x, int n_heads) { // RoPE: turns each pair of a head
    for (int i = 0; i < n_heads * m->head_dim; i += 2) {
        float angle = m->length * powf(m->rope_theta, -(float)(i % m->head_dim) / m->head_dim);
        float a = x[i], b = x[i + 1], c = cosf(angle), s = sinf(angle);
        x[i] = a * c - b * s, x[i + 1] = a * s + b * c;
    }
}

/* ---- Forward pass: a token goes into the KV cache, logits for the next one come out ---- */
static void attention(Model *m, const Layer *l) {
    int D = m->head_dim, kv_dim = m->kv_dim, group = m->n_heads / m->n_kv_heads;
    matmul(m, m->q, l->q, m->normed);
    matmul(m, l->keys + m->length * kv_dim, l->k, m->normed);
    matmul(m, l->values + m->length * kv_dim, l->v, m->normed);
    rotate(m, m->q, m->n_heads), rotate(m, l->keys + m->length * kv_dim, m->n_kv_heads);
    memset(m->sum, 0, m->dim * sizeof(float));
    for (int h = 0; h < m->n_heads; h++) { // `group` heads share their keys and values
        const float *keys = l->keys + h / group * D, *values = l->values + h / group * D;
        for (size_t t = 0; t <= m->length; t++)
            m->scores[t] = dot(m->q + h * D, keys + t * kv_dim, D) / sqrtf(D);
        softmax(m->scores, m->length + 1);
        for (size_t t = 0; t <= m->length; t++)
            for (int i = 0; i < D; i++) m->sum[h * D + i] += m->scores[t] * values[t * kv_dim + i];
    }
    matmul(m, m->normed, l->o, m->sum);
}
static void feed_forward(Model *m, const Layer *l) { // SwiGLU: down @ (silu(gate @ x) * (up @ x))
    matmul(m, m->gate, l->gate, m->normed);
    matmul(m, m->up, l->up, m->normed);
    for (int i = 0; i < m->ffn_dim; i++) m->up[i] *= m->gate[i] / (1 + expf(-m->gate[i]));
    matmul(m, m->normed, l->down, m->up);
}
static void forward(Model *m, int token) {
    memcpy(m->x, row_of(m->embedding, token, m->row), m->dim * sizeof(float));
    for (Layer *l = m->layers; l < m->layers + m->n_layers; l++) {
        rmsnorm(m, l->attn_norm), attention(m, l);
        for (int i = 0; i < m->dim; i++) m->x[i] += m->normed[i];
        rmsnorm(m, l->ffn_norm), feed_forward(m, l);
        for (int i = 0; i < m->dim; i++) m->x[i] += m->normed[i];
    }
    rmsnorm(m, m->norm);
    matmul(m, m->logits, m->output, m->normed);
    m->length++;
}

/* ---- Tokenizer: byte-level BPE ---- */
typedef struct {
    Bytes name, bytes;  // how the file spells it, what it stands for
    int id, is_control; // control tokens are never found in a text
} Token;
typedef struct {
    int n_tokens, n_text, digits, bos, eos, im_start, im_end; // no such token: -1
    Token *tokens, *sorted; // by id; all but control tokens by their bytes
} Tokenizer;
enum { LETTER, NUMBER, SPACE, OTHER };
static const uint32_t LETTERS[] = // first and last of each range: all in ASCII, else what is common
    U"azAZªªµµººÀÖØöøˁΆΆΈҁҊՖՠֈ\u05d0\u05f2\u0620\u064a\u0671\u06d3अहกะ"
    U"ႠቈḀᾼぁゖァヺーヿ㐀\u4dbf一ꒌ가힣ＡＺａｚｦￜ\U00020000\U000323af";
static const uint32_t *const RANGES[] = {LETTERS, U"09²³¹¹¼¾\u0660\u0669०९⅐ↂ①⒛０９",
                                         U"\t\r  \u00a0\u00a0\u2000\u200a\u2028\u2029\u3000\u3000"};

/* The code point at `at`, its bytes in *size; -1 of one byte where no valid UTF-8 starts. */
static int code_point(const uint8_t *at, const uint8_t *end, int *size) {
    static const int SMALLEST[] = {0, 0, 0x80, 0x800, 0x10000};
    int n = *at < 0x80 ? 1 : *at < 0xc0 ? 0 : *at < 0xe0 ? 2 : *at < 0xf0 ? 3 : *at < 0xf8 ? 4 : 0;
    int code = n > 1 ? *at & 0x7f >> n : *at, i = 1;
    for (; i < n && at + i < end && at[i] >> 6 == 2; i++) code = code << 6 | (at[i] & 0x3f);
    int valid = i == n && code >= SMALLEST[n] && code <= 0x10ffff && code >> 11 != 0x1b;
    return *size = valid ? n : 1, valid ? code : -1;
}
static int kind_of(const uint8_t *at, const uint8_t *end, int *size) { // malformed bytes: OTHER
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
/* Adds the ids of a text to the n in `ids`, returns their new number. A word starts as its bytes;
   then the neighbours merge that merged first in training, which is to say: to the smallest id. */
static int encode(const Tokenizer *t, Bytes text, int *ids, int n) {
    const Token *tokens = t->tokens;
    for (const uint8_t *at = text.at, *end = at + text.size, *stop, *p; at < end; at = stop) {
        int *first = ids + n;
        stop = word_end(at, end, t->digits);
        for (p = at; p < stop; p++)
            if ((ids[n] = look_up(t, p, 1)) >= 0) n++;
            else stop = p + 1; // a byte that this tokenizer lacks is left out
        for (int best = 0, *two = ids; two;) {
            two = NULL, p = at;
            for (int *i = first; i + 1 < ids + n; p += tokens[*i++].bytes.size) {
                int id = look_up(t, p, tokens[i[0]].bytes.size + tokens[i[1]].bytes.size);
                if (id >= 0 && (!two || id < best)) best = id, two = i;
            }
            if (two) memmove(two + 1, two + 2, (ids + n-- - two - 2) * sizeof(int)), *two = best;
        }
    }
    return n;
}
static void load_tokenizer(Tokenizer *t, Gguf *g) {
    Bytes kind = text(g, "tokenizer.ggml.model"), pre = text(g, "tokenizer.ggml.pre");
    t->digits = same(pre, "smollm");
    if (!same(kind, "gpt2")) die("can't run tokenizer '%.*s', only gpt2", SHOW(kind));
    if (!t->digits && !same(pre, "gpt-2")) die("can't run pre-tokenizer '%.*s'", SHOW(pre));
    int n = t->n_tokens = array(g, "tokenizer.ggml.tokens"), size;
    t->tokens = allocate(n, sizeof(Token)), t->sorted = allocate(n, sizeof(Token));
    t->im_start = t->im_end = -1;
    for (int i = 0; i < n; i++) t->tokens[i].name = take_text(g);
    if (n < 1 || array(g, "tokenizer.ggml.token_type") != n) die("the file lacks tokens or types");
    for (int i = 0; i < n; i++) {
        Bytes name = t->tokens[i].name;
        t->tokens[i] = (Token){name, name, i, take_number(g, 4) != 1};
        if (t->tokens[i].is_control && same(name, "<|im_start|>")) t->im_start = i;
        if (t->tokens[i].is_control && same(name, "<|im_end|>")) t->im_end = i;
        if (t->tokens[i].is_control) continue;
        uint8_t *raw = allocate(name.size, 1), *to = raw;
        for (const uint8_t *at = name.at; at < name.at + name.size; at += size) {
            int code = code_point(at, name.at + name.size, &size);
            if (code < 0 || code > 323) die("token %d is not in GPT-2's alphabet", i);
            // There a byte that can't be printed is the next free character from 256 on.
            *to++ = code < 256 ? code : code < 289 ? code - 256 : code < 323 ? code - 162 : 173;
        }
        t->tokens[i].bytes = (Bytes){raw, to - raw};
        t->sorted[t->n_text++] = t->tokens[i];
    }
    qsort(t->sorted, t->n_text, sizeof(Token), by_bytes);
    int add_bos = number(g, "tokenizer.ggml.add_bos_token", 0, 0, 1);
    t->bos = add_bos ? number(g, "tokenizer.ggml.bos_token_id", -1, 0, n - 1) : -1;
    t->eos = number(g, "tokenizer.ggml.eos_token_id", -1, -1, n - 1);
}

/* ---- Sampler ---- */
// By letter: new tokens, temperature, top-k, top-p, seed, context, ids instead of text.
static double option[128] = {['n'] = 256, ['t'] = 1, ['k'] = 1e9, ['p'] = 1, ['c'] = 4096};
static const float *probs; // of all tokens, for by_p

static int by_p(const void *a, const void *b) { // likeliest first, of equals the smaller id
    int x = *(const int *)a, y = *(const int *)b;
    return probs[x] != probs[y] ? (probs[x] < probs[y] ? 1 : -1) : x - y;
}
/* The ids of what may come next, likeliest first; returns how many the options leave. */
static int next_tokens(Model *m, int *ids) {
    int V = m->vocab_size, end = option['t'] < 1e-3 ? 1 : V, k = 0, n = 0;
    float *p = m->logits, sum = 0, kept = 0;
    for (int i = 0; i < V; i++) p[i] /= end == 1 ? 1 : option['t'], ids[i] = i;
    softmax(p, V), probs = p;
    qsort(ids, V, sizeof(int), by_p);
    // Top-k keeps what is as likely as the last of the k; top-p the fewest that reach p together.
    while (k < end && (!k || k < option['k'] || p[ids[k]] == p[ids[k - 1]])) sum += p[ids[k++]];
    while (n < k && (!n || option['p'] >= 1 || kept < option['p'] * sum)) kept += p[ids[n++]];
    for (int i = 0; i < n; i++) p[ids[i]] /= kept;
    return n;
}
static int draw(const int *ids, int n) {
    static uint64_t state; // of splitmix64
    uint64_t z = state = (state ? state : (uint64_t)option['s']) + 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9, z = (z ^ z >> 27) * 0x94d049bb133111eb;
    double left = ((z ^ z >> 31) >> 11) * 0x1p-53; // uniform in [0, 1)
    while (n > 1 && (left -= probs[*ids]) >= 0) ids++, n--;
    return *ids;
}

/* ---- Modes ---- */
static Bytes read_input(int end) { // as far as this character; nowhere if there is nothing left
    static uint8_t all[1 << 24];
    int c = 0, n = 0;
    while (n < 1 << 24 && (c = getchar()) != EOF && c != end) all[n++] = c;
    return (Bytes){c == EOF && !n ? NULL : all, n};
}
static void print_ids(const int *ids, int n) {
    for (int i = 0; i < n; i++) printf("%d ", ids[i]);
    putchar('\n');
}
/* Reads n ids; then writes what follows token by token, or lists the tokens that may be next. */
static void generate(Model *m, const Tokenizer *t, const int *prompt, int n, int is_list) {
    int room = m->context_length - m->length - n, *ids = allocate(m->vocab_size, sizeof(int));
    if (room < 0) die("%d tokens are %d more than the context has room for", n, -room);
    if (option['x']) print_ids(prompt, n);
    for (int i = 0; i < n; i++) forward(m, prompt[i]);
    for (int i = 0, end = is_list ? next_tokens(m, ids) : 0; i < end && i < option['n']; i++)
        printf("%d\t%.8f\t%.*s\n", ids[i], probs[ids[i]], SHOW(t->tokens[ids[i]].name));
    for (int i = 0, id; !is_list && i < option['n'] && i < room; i++, forward(m, id)) {
        id = draw(ids, next_tokens(m, ids));
        Token token = t->tokens[id];
        if (option['x']) printf("%d ", id);
        else if (!token.is_control) fwrite(token.bytes.at, 1, token.bytes.size, stdout);
        fflush(stdout);
        if (id == t->eos || id == t->im_end) break;
    }
    if (!is_list) putchar('\n');
    if (m->length == (size_t)m->context_length) fputs("[the context is full]\n", stderr);
}
/* <|im_start|>user\n{message}<|im_end|>\n<|im_start|>assistant\n; a full context is emptied. */
static void chat(Model *m, const Tokenizer *t, Gguf *g, const char *message) {
    Bytes template = text(g, "tokenizer.chat_template"), line; // a 0 follows it somewhere
    if (!strstr((const char *)template.at, "<|im_start|>") || t->im_start < 0 || t->im_end < 0)
        die("this model's chat template is not ChatML, all that run.c knows: try complete");
    for (int more = 1; more && (line = message ? bytes(message) : read_input('\n')).at;) {
        uint8_t *user = memcpy(allocate(line.size + 5, 1), "user\n", 5);
        memcpy(user + 5, line.at, line.size);
        int *ids = allocate(line.size + 32, sizeof(int)), n = 0;
        if ((int)m->length + encode(t, line, ids, 0) + 32 > m->context_length) m->length = 0;
        if (m->length) ids[n++] = t->im_end, n = encode(t, bytes("\n"), ids, n);
        else if (t->bos >= 0) ids[n++] = t->bos;
        ids[n++] = t->im_start, n = encode(t, (Bytes){user, line.size + 5}, ids, n);
        ids[n++] = t->im_end, n = encode(t, bytes("\n"), ids, n);
        ids[n++] = t->im_start, n = encode(t, bytes("assistant\n"), ids, n);
        generate(m, t, ids, n, 0), more = !message;
    }
}

/* ---- Main ---- */
static const char USAGE[] =
    "usage: run MODEL.gguf MODE [TEXT] [OPTIONS]; without TEXT it reads standard input. MODE is\n"
    "  complete  goes on with the text         chat      answers the text, or each line of input\n"
    "  probs     lists likely next tokens      tokenize  prints the ids of texts that end in a 0\n"
    "OPTIONS: -n new tokens (256), or lines of probs (10)   -t temperature (1), 0 is greedy\n"
    "  -k top-k   -p top-p   -s seed   -c longest context (4096)   -x 1 for ids instead of text";

int main(int argc, char **argv) {
#ifdef _WIN32 // or each "\n" would become "\r\n"
    int _setmode(int, int);
    _setmode(0, 0x8000), _setmode(1, 0x8000);
#endif
    Gguf g = {0};
    Tokenizer t = {0};
    Model m = {0};
    const char *mode = argc > 2 ? argv[2] : "", *text = argc > 3 && argc % 2 == 0 ? argv[3] : NULL;
    int is_chat = !strcmp(mode, "chat"), is_probs = !strcmp(mode, "probs"), *ids, n = 0;
    int is_tokenize = !strcmp(mode, "tokenize"), is_complete = !strcmp(mode, "complete");
    if (!is_chat && !is_probs && !is_tokenize && !is_complete) die("%s", USAGE);
    option['s'] = time(NULL), option['n'] = is_probs ? 10 : 256;
    for (int i = text ? 4 : 3; i < argc; i += 2) {
        char *s = argv[i], *end;
        double v = option[s[0] ? s[1] & 127 : 0] = strtod(argv[i + 1], &end);
        if (*s != '-' || strlen(s) != 2 || !strchr("ntkpscx", s[1]) || *end || !(v >= 0))
            die("can't understand %s %s\n%s", s, argv[i + 1], USAGE);
    }
    read_gguf(&g, argv[1]);
    load_tokenizer(&t, &g);
    for (Bytes input; is_tokenize && (input = read_input(0)).at;) {
        ids = allocate(input.size, sizeof(int));
        print_ids(ids, encode(&t, input, ids, 0));
    }
    if (is_tokenize) return 0;
    load_model(&m, &g, t.n_tokens, option['c']);
    if (is_chat) return chat(&m, &t, &g, text), 0;
    Bytes input = text ? bytes(text) : read_input(EOF);
    ids = allocate(input.size + 1, sizeof(int)), ids[0] = t.bos, n = t.bos >= 0;
    if (input.at) n = encode(&t, input, ids, n);
    if (!n) die("there is nothing to start from: no text, and no token that begins one");
    generate(&m, &t, ids, n, is_probs);
    return 0;
}
