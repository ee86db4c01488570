/*
 * Sends the JavaScript stack on a signal, even while the event loop is stuck in a loop or in a regular expression.
 *
 * The signal wakes a thread, the thread requests an interrupt from V8, and V8 calls back in the main thread at its next
 * stack check, which every loop and every backtrack has. The callback sends the frames; no JavaScript runs. A native
 * call (a synchronous hash, a read from a dead file system) delays the answer until it returns.
 *
 * Node-API has no such interrupt, so functions of V8 are looked up by their C++ names at run time. Node.js 22, 24 and 26
 * have them; where one is missing, reportStacks() returns its name. A v8::Local<T> is one pointer, and so is a
 * napi_value. docs/decisions/0009-stall-forensics.md compares alternatives.
 */
#include "native.h"

#include <errno.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

/* V8's own Error.stackTraceLimit is 10, which framework code alone fills. */
#define MAX_FRAMES 30
/* The answer must fit into the socket's buffer, which has 200 KB. */
#define MAX_ANSWER 8192
#define MAX_NAME 512
/* An idle process reaches its next stack check when it wakes up; its stack then is not the one that was asked for. */
#define MAX_AGE_MS 1000
/* v8::StackTrace::kDetailed */
#define ALL_DETAILS 0x7f

/* v8::Location: both start at 0. */
struct location {
  int line, column;
};

static struct {
  void *(*current_isolate)(void);
  void (*request_interrupt)(void *isolate, void (*callback)(void *isolate, void *data), void *data);
  napi_value (*current_stack)(void *isolate, int limit, int options);
  int (*frame_count)(napi_value stack);
  napi_value (*frame)(napi_value stack, void *isolate, unsigned index);
  struct location (*location)(napi_value frame);
  napi_value (*script_name)(napi_value frame);
  napi_value (*function_name)(napi_value frame);
} v8;

static const struct {
  const char *name;
  void *target;
} SYMBOLS[] = {
    {"_ZN2v87Isolate10GetCurrentEv", &v8.current_isolate},
    {"_ZN2v87Isolate16RequestInterruptEPFvPS0_PvES2_", &v8.request_interrupt},
    {"_ZN2v810StackTrace17CurrentStackTraceEPNS_7IsolateEiNS0_17StackTraceOptionsE", &v8.current_stack},
    {"_ZNK2v810StackTrace13GetFrameCountEv", &v8.frame_count},
    {"_ZNK2v810StackTrace8GetFrameEPNS_7IsolateEj", &v8.frame},
    {"_ZNK2v810StackFrame11GetLocationEv", &v8.location},
    {"_ZNK2v810StackFrame13GetScriptNameEv", &v8.script_name},
    {"_ZNK2v810StackFrame15GetFunctionNameEv", &v8.function_name},
};

static sem_t asked;
static atomic_long asked_at;
static atomic_bool pending;
static napi_env environment;
static void *isolate;
static int answer_fd;

static long now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now); /* async-signal-safe (signal-safety(7)) */
  return (long)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void name_of(napi_value value, char *out, size_t size) {
  size_t length;
  if (!value || napi_get_value_string_utf8(environment, value, out, size, &length) != napi_ok) out[0] = '\0';
}

/* One line per frame, as in V8's own stacks, and a NUL, which no name contains. Returns the length with the NUL. */
static size_t describe(char *out, size_t size) {
  char function[MAX_NAME], script[MAX_NAME];
  napi_value stack = v8.current_stack(isolate, MAX_FRAMES, ALL_DETAILS);
  int frames = v8.frame_count(stack);
  size_t length = 0;
  for (int i = 0; i < frames; i++) {
    napi_value frame = v8.frame(stack, isolate, (unsigned)i);
    struct location at = v8.location(frame);
    name_of(v8.function_name(frame), function, sizeof function);
    name_of(v8.script_name(frame), script, sizeof script);
    const char *form = function[0] == '\0' ? "%sat %s%s:%d:%d" : "%sat %s (%s:%d:%d)";
    int wrote = snprintf(out + length, size - length, form, i == 0 ? "" : "\n", function, script, at.line + 1, at.column + 1);
    if (wrote < 0 || (size_t)wrote >= size - length) break; /* does not fit */
    length += (size_t)wrote;
  }
  out[length] = '\0';
  return length + 1;
}

/* Runs in the main thread, between two instructions of JavaScript. */
static void interrupted(void *unused_isolate, void *data) {
  static char answer[MAX_ANSWER];
  napi_handle_scope scope;
  (void)unused_isolate, (void)data;
  atomic_store(&pending, false);
  if (now_ms() - atomic_load(&asked_at) > MAX_AGE_MS || napi_open_handle_scope(environment, &scope) != napi_ok) return;
  size_t length = describe(answer, sizeof answer);
  napi_close_handle_scope(environment, scope);
  /* No answer where the reader is gone or too slow. */
  (void)!send(answer_fd, answer, length, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* RequestInterrupt() takes V8's locks, which a signal handler may not. */
static void *wait_for_request(void *unused) {
  (void)unused;
  for (;;) {
    if (sem_wait(&asked) == 0 && !atomic_exchange(&pending, true)) v8.request_interrupt(isolate, interrupted, NULL);
  }
  return NULL;
}

static void on_signal(int signal) {
  int saved = errno;
  (void)signal;
  atomic_store(&asked_at, now_ms());
  sem_post(&asked);
  errno = saved;
}

napi_value report_stacks(napi_env env, napi_callback_info info) {
  if (!descriptor(env, info, &answer_fd)) return NULL;
  if (environment) return NULL; /* on already, now with another descriptor */
  for (size_t i = 0; i < sizeof SYMBOLS / sizeof *SYMBOLS; i++) {
    if (!find_symbol(SYMBOLS[i].name, SYMBOLS[i].target)) return missing(env, SYMBOLS[i].name);
  }
  isolate = v8.current_isolate();
  struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
  sigemptyset(&action.sa_mask);
  if (sem_init(&asked, 0, 0) != 0 || !start_thread(wait_for_request) || sigaction(STACK_SIGNAL, &action, NULL) != 0) {
    return string(env, strerror(errno));
  }
  environment = env;
  return NULL;
}
