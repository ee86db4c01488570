#ifndef TSUNICORN_STACK_H
#define TSUNICORN_STACK_H
#include <node_api.h>

/* The signal that asks for the stack, by its number. */
napi_value stack_signal(napi_env env);
/* reportStacks(fd): undefined, or a string that says why it cannot be. */
napi_value report_stacks(napi_env env, napi_callback_info info);

#endif
