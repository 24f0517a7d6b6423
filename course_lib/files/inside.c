/* inside.c: run.c as a library, for a page (WebAssembly) or another program that wants to look into
   the model. It includes run.c as it is, and takes the same steps, but notes what it meets on the
   way, and can leave heads out.

       python -m ziglang cc -target wasm32-wasi -mexec-model=reactor -O3 -msimd128 \
           -o inside.wasm inside.c -lm
       cc -O3 -march=native -fPIC -shared -o inside.so inside.c -lm

   Shapes: T context_length, L layers, H heads, C dim, V vocab_size. Whatever is wrong ends the
   program with a sentence, as in run.c: in a page, the instance of the module. */
#define main run_main
#include "run.c"
#undef main
#ifdef __wasm__
#define EXPORT(name) __attribute__((export_name(#name))) name
#else
#define EXPORT(name) name
#endif

typedef struct {
    Gguf g;
    Tokenizer t;
    Model m;
    int *ids;         // (T): those in the KV cache
    float *attention; // (T, L, H, T): how much the token at a place looks at each one before
    float *residual;  // (T, L + 1, C): a token's embedding, then its stream after each layer
    char *is_off;     // (L, H)
} Inside;

void *EXPORT(room)(size_t size) { return allocate(size, 1); }
void EXPORT(give_back)(void *room) { free(room); }

/* Opens a GGUF that lies in memory; `context_length` is at most the model's own. */
Inside *EXPORT(open_model)(uint8_t *file, size_t size, int context_length) {
    Inside *a = allocate(1, sizeof(Inside));
    a->t.im_start = a->t.im_end = -1;
    read_gguf(&a->g, "the model", fmemopen(file, size ? size : 1, "rb"));
    load_tokenizer(&a->t, &a->g);
    load_model(&a->m, &a->g, a->t.n_tokens, context_length);
    size_t T = a->m.context_length, L = a->m.n_layers, H = a->m.n_heads;
    a->ids = allocate(T, sizeof(int));
    a->attention = allocate(T * L, H * T * sizeof(float));
    a->residual = allocate(T * (L + 1), a->m.dim * sizeof(float));
    a->is_off = allocate(L, H);
    return a;
}
/* Turns F16 and Q8_0 into F32, once: else every token pays for it. It takes 4 bytes a number. */
void EXPORT(unpack)(Inside *a) {
    for (Tensor *t = a->g.tensors; t < a->g.tensors + a->g.n_tensors; t++) {
        if (!t->data || t->type == F32) continue;
        float *row = allocate(t->rows, t->cols * sizeof(float)), *all = row;
        for (size_t i = 0; i < t->rows; i++, row += t->cols)
            for (size_t j = 0; j < t->cols; j++)
                row[j] = weight(t->type, t->data + i * t->row_size, j);
        t->data = (uint8_t *)all, t->type = F32, t->row_size = t->cols * sizeof(float);
    }
}
/* V, T, L, H, C, then the ids of BOS, EOS, <|im_start|> and <|im_end|>, -1 where there is none. */
int EXPORT(shape)(const Inside *a, int which) {
    const Model *m = &a->m;
    const Tokenizer *t = &a->t;
    const int all[] = {m->vocab_size, m->context_length, m->n_layers, m->n_heads, m->dim, t->bos,
                       t->eos,        t->im_start,       t->im_end};
    return which >= 0 && which < 9 ? all[which] : -1;
}
/* Writes a text's ids to `ids`, which has room for two per byte, and returns how many they are. */
int EXPORT(encode_text)(const Inside *a, const uint8_t *text, size_t size, int *ids) {
    return encode(&a->t, (Bytes){text, size}, ids, 0);
}
/* A token's bytes, or for a control token its name; their number; whether it is a control token. */
const uint8_t *EXPORT(token_bytes)(const Inside *a, int id) {
    return a->t.tokens[id].is_control ? a->t.tokens[id].name.at : a->t.tokens[id].bytes.at;
}
int EXPORT(token_size)(const Inside *a, int id) {
    return a->t.tokens[id].is_control ? a->t.tokens[id].name.size : a->t.tokens[id].bytes.size;
}
int EXPORT(is_control)(const Inside *a, int id) { return a->t.tokens[id].is_control; }

/* Switches a head off, or on again. Off, it adds nothing to the residual stream. */
void EXPORT(switch_head)(Inside *a, int layer, int head, int is_off) {
    if (layer < 0 || layer >= a->m.n_layers || head < 0 || head >= a->m.n_heads) return;
    a->is_off[layer * a->m.n_heads + head] = is_off;
    a->m.length = 0; // what the KV cache holds was computed with the other heads
}
/* forward() of run.c, with notes. */
static void forward_with_notes(Inside *a, int token) {
    Model *m = &a->m;
    const Tensor *table = m->embedding;
    size_t T = m->context_length, L = m->n_layers, H = m->n_heads, C = m->dim, D = m->head_dim;
    float *attention_at = a->attention + m->length * L * H * T;
    float *residual = a->residual + m->length * (L + 1) * C;
    for (size_t i = 0; i < C; i++)
        m->x[i] = weight(table->type, table->data + token * table->row_size, i);
    memcpy(residual, m->x, C * sizeof(float));
    for (size_t i = 0; i < L; i++) {
        const Layer *l = &m->layers[i];
        rmsnorm(m, l->attn_norm), attention(m, l);
        memcpy(attention_at + i * H * T, m->scores, H * T * sizeof(float));
        for (size_t h = 0; h < H; h++)
            if (a->is_off[i * H + h]) memset(m->sum + h * D, 0, D * sizeof(float));
        add(m, l->o, m->sum);
        rmsnorm(m, l->ffn_norm), feed_forward(m, l), add(m, l->down, m->up);
        memcpy(residual + (i + 1) * C, m->x, C * sizeof(float));
    }
    a->ids[m->length++] = token;
}
/* Reads n ids; what the KV cache knows of them is not computed again. Returns how many were
   computed, or -1 if they don't fit. */
int EXPORT(look)(Inside *a, const int *ids, int n) {
    if (n > a->m.context_length) return -1;
    for (int i = 0; i < n; i++)
        if (ids[i] < 0 || ids[i] >= a->m.vocab_size) return -1;
    int known = 0;
    while (known < n && known < a->m.length && a->ids[known] == ids[known]) known++;
    a->m.length = known;
    for (int i = known; i < n; i++) forward_with_notes(a, ids[i]);
    return n - known;
}
const float *EXPORT(attention_of)(const Inside *a) { return a->attention; }
const float *EXPORT(residual_of)(const Inside *a) { return a->residual; }

/* (V): the logits that follow from the residual stream at a place after so many layers; with L
   layers they are the model's own, with fewer what it would say if it stopped there. NULL for a
   place that nobody has looked at, or a layer that there is not. */
const float *EXPORT(logits_after)(Inside *a, int place, int layers) {
    Model *m = &a->m;
    if (place < 0 || place >= m->length || layers < 0 || layers > m->n_layers) return NULL;
    memcpy(m->x, a->residual + ((size_t)place * (m->n_layers + 1) + layers) * m->dim,
           m->dim * sizeof(float));
    rmsnorm(m, m->norm), matmul(m->logits, m->output, m->normed);
    return m->logits;
}
