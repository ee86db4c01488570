/*
 * Reports that V8 is out of memory before Node.js aborts: from outside it looks like any other abort().
 *
 * V8 calls an error handler. That of Node.js prints "FATAL ERROR: …", writes a diagnostic report if asked to, and aborts.
 * This one sends one line and then calls it. Both are looked up by their C++ names at run time, as in stack.c; a
 * reference is a pointer. docs/decisions/0009-stall-forensics.md compares alternatives.
 */
#include "native.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define CURRENT_ISOLATE "_ZN2v87Isolate10GetCurrentEv"
#define SET_HANDLER "_ZN2v87Isolate18SetOOMErrorHandlerEPFvPKcRKNS_10OOMDetailsEE"
#define HANDLER_OF_NODE "_ZN4node15OOMErrorHandlerEPKcRKN2v810OOMDetailsE"

/* v8::OOMDetails */
struct details {
  bool is_heap;
  const char *detail;
};
typedef void (*handler)(const char *location, const struct details *details);

static void *(*current_isolate)(void);
static void (*set_handler)(void *isolate, handler handler);
static handler handler_of_node;
static int report_fd = -1;

/* In any thread of V8. Nothing may be allocated in its heap. */
static void out_of_memory(const char *location, const struct details *details) {
  char line[256];
  snprintf(line, sizeof line, "!%s %s", details->is_heap ? "heap" : "process", location ? location : "");
  /* With the NUL that ends every message. Without a reader it is lost, and Node.js aborts all the same. */
  (void)!send(report_fd, line, strlen(line) + 1, MSG_DONTWAIT | MSG_NOSIGNAL);
  handler_of_node(location, details);
  abort(); /* it does not return */
}

napi_value report_out_of_memory(napi_env env, napi_callback_info info) {
  if (!descriptor(env, info, &report_fd)) return NULL;
  if (!find_symbol(CURRENT_ISOLATE, &current_isolate)) return missing(env, CURRENT_ISOLATE);
  if (!find_symbol(SET_HANDLER, &set_handler)) return missing(env, SET_HANDLER);
  if (!find_symbol(HANDLER_OF_NODE, &handler_of_node)) return missing(env, HANDLER_OF_NODE);
  set_handler(current_isolate(), out_of_memory);
  return NULL;
}
