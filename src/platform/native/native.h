/* What the C files share. native.ts says what each function does for JavaScript. */
#ifndef TSUNICORN_NATIVE_H
#define TSUNICORN_NATIVE_H
#define _GNU_SOURCE
#define NAPI_VERSION 8
#include <node_api.h>
#include <stdbool.h>

napi_value report_out_of_memory(napi_env env, napi_callback_info info);
napi_value report_stacks(napi_env env, napi_callback_info info);
napi_value listen_without_accepting(napi_env env, napi_callback_info info);
napi_value attach_reuse_port_filter(napi_env env, napi_callback_info info);
/* Real-time, one below the signal of die_with_parent(): Node.js gives JavaScript no handle on it. */
#define STACK_SIGNAL (SIGRTMAX - 1)

/* Reads a descriptor, the only argument. False: an exception is pending. */
bool descriptor(napi_env env, napi_callback_info info, int *fd);
napi_value string(napi_env env, const char *text);
/* dlsym(3) of one of V8's or Node.js' own C++ functions; false where this Node.js does not have it. */
bool find_symbol(const char *name, void *target);
/* The answer to JavaScript for a symbol that is missing. */
napi_value missing(napi_env env, const char *name);
/* A thread with all signals blocked: the process's signals stay with the main thread. False: errno is set. */
bool start_thread(void *(*run)(void *));

#endif
