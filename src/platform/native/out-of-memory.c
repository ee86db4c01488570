/*
 * Says that V8 is out of memory before Node.js aborts for it: from outside it looks like any other abort().
 *
 * V8 calls one function then. Node.js gives it its own, which prints "FATAL ERROR: …", writes a diagnostic report where
 * one is wanted, and aborts. This one takes its place, sends one line, and goes on to it, so that all this stays as it is.
 * Both are looked up by their C++ names at run time, as in stack.c; a reference is a pointer.
 * docs/decisions/0009-stall-forensics.md compares other ways.
 */
#define _GNU_SOURCE
#define NAPI_VERSION 8
#include "out-of-memory.h"

#include <dlfcn.h>
#include <stdbool.h>
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

/* In whichever thread of V8 has run out; nothing may be allocated in its heap. */
static void out_of_memory(const char *location, const struct details *details) {
  char line[256];
  int length = snprintf(line, sizeof line, "!%s %s", details->is_heap ? "heap" : "process", location ? location : "");
  if (length >= (int)sizeof line) length = sizeof line - 1;
  /* With the NUL that ends every message. Nobody reads any more: then nobody wants to know. */
  if (length > 0) (void)!send(report_fd, line, (size_t)length + 1, MSG_DONTWAIT | MSG_NOSIGNAL);
  handler_of_node(location, details);
  abort(); /* it does not return */
}

static bool find(const char *name, void *target) {
  void *symbol = dlsym(RTLD_DEFAULT, name);
  memcpy(target, &symbol, sizeof symbol); /* POSIX lets one be the other, ISO C has no cast for it */
  return symbol != NULL;
}

static const char *missing_symbol(void) {
  if (!find(CURRENT_ISOLATE, &current_isolate)) return CURRENT_ISOLATE;
  if (!find(SET_HANDLER, &set_handler)) return SET_HANDLER;
  return find(HANDLER_OF_NODE, &handler_of_node) ? NULL : HANDLER_OF_NODE;
}

napi_value report_out_of_memory(napi_env env, napi_callback_info info) {
  napi_value argument, result;
  size_t count = 1;
  napi_get_cb_info(env, info, &count, &argument, NULL, NULL);
  if (count < 1 || napi_get_value_int32(env, argument, &report_fd) != napi_ok || report_fd < 0) {
    napi_throw_range_error(env, NULL, "a descriptor is wanted");
    return NULL;
  }
  const char *missing = missing_symbol();
  if (missing) {
    char text[256];
    snprintf(text, sizeof text, "this Node.js has no %s", missing);
    napi_create_string_utf8(env, text, NAPI_AUTO_LENGTH, &result);
    return result;
  }
  set_handler(current_isolate(), out_of_memory);
  return NULL;
}
