#ifndef TSUNICORN_OUT_OF_MEMORY_H
#define TSUNICORN_OUT_OF_MEMORY_H
#include <node_api.h>

/* reportOutOfMemory(fd): undefined, or a string that says why it cannot be. */
napi_value report_out_of_memory(napi_env env, napi_callback_info info);

#endif
