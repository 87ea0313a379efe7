/* Stand-ins for the CANN libraries: device memory is host memory, one device whose chip ANYPOSE_CHIP names.
   build.py adds a function that returns 0 for every other symbol torch_npu asks for. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int device = 0;
static long handles = 0x1000;
static void *handle(void) { return (void *)(uintptr_t)(handles += 16); }

int aclInit(const char *config) { return 0; }
int aclFinalize(void) { return 0; }
const char *aclGetRecentErrMsg(void) { return ""; }
void aclAppLog(int level, const char *function, const char *file, uint32_t line, const char *format, ...) {}
int aclGetDeviceCapability(uint32_t d, int what, int64_t *value) { *value = 8; return 0; }
int aclSetCompileopt() { return 0; }

int aclrtGetDeviceCount(uint32_t *count) { *count = 1; return 0; }
int aclrtSetDevice(int d) { device = d; return 0; }
int aclrtGetDevice(int *d) { *d = device; return 0; }
int aclrtResetDevice(int d) { return 0; }
int aclrtDeviceCanAccessPeer(int *can, int a, int b) { *can = 0; return 0; }
const char *aclrtGetSocName(void) { const char *chip = getenv("ANYPOSE_CHIP"); return chip ? chip : "Ascend910B3"; }
int aclrtGetMemInfo(int kind, size_t *free_bytes, size_t *total) {
  *free_bytes = (size_t)32 << 30;
  *total = (size_t)64 << 30;
  return 0;
}
int aclrtGetCurrentContext(void **context) { static int one; *context = &one; return 0; }
int aclrtSetCurrentContext(void *context) { return 0; }
int aclrtSetDeviceSatMode() { return 0; }
int aclrtSetOpExecuteTimeOut(uint32_t seconds) { return 0; }
int aclrtGetSysParamOpt(int option, int64_t *value) { *value = 0; return 0; }
int aclrtSetSysParamOpt(int option, int64_t value) { return 0; }
int aclrtCtxGetSysParamOpt(int option, int64_t *value) { *value = 0; return 0; }
int aclrtCtxSetSysParamOpt(int option, int64_t value) { return 0; }

int aclrtMalloc(void **p, size_t n, int policy) { return posix_memalign(p, 512, n ? n : 512) ? 207000 : 0; }
int aclrtMallocAlign32(void **p, size_t n, int policy) { return aclrtMalloc(p, n, policy); }
int aclrtMallocHost(void **p, size_t n) { return aclrtMalloc(p, n, 0); }
int aclrtFree(void *p) { free(p); return 0; }
int aclrtFreeHost(void *p) { free(p); return 0; }
int aclrtMemcpy(void *to, size_t room, const void *from, size_t n, int kind) { memmove(to, from, n); return 0; }
int aclrtMemcpyAsync(void *to, size_t room, const void *from, size_t n, int kind, void *stream) {
  memmove(to, from, n);
  return 0;
}
int aclrtMemset(void *p, size_t room, int value, size_t n) { memset(p, value, n); return 0; }
int aclrtMemsetAsync(void *p, size_t room, int value, size_t n, void *stream) { memset(p, value, n); return 0; }

int aclrtCreateStream(void **s) { *s = handle(); return 0; }
int aclrtCreateStreamWithConfig(void **s, uint32_t priority, uint32_t flag) { *s = handle(); return 0; }
int aclrtDestroyStream(void *s) { return 0; }
int aclrtDestroyStreamForce() { return 0; }
int aclrtStreamQuery(void *s, int *status) { *status = 0; return 0; }
int aclrtSetStreamOverflowSwitch() { return 0; }
int aclrtSynchronizeStream(void *s) { return 0; }
int aclrtSynchronizeStreamWithTimeout(void *s, int t) { return 0; }
int aclrtSynchronizeDevice(void) { return 0; }
int aclrtSynchronizeDeviceWithTimeout(int t) { return 0; }

typedef struct { struct timespec at; } event;
int aclrtCreateEventExWithFlag(void **e, uint32_t flag) { *e = calloc(1, sizeof(event)); return 0; }
int aclrtCreateEventWithFlag(void **e, uint32_t flag) { return aclrtCreateEventExWithFlag(e, flag); }
int aclrtDestroyEvent(void *e) { free(e); return 0; }
int aclrtRecordEvent(void *e, void *s) { clock_gettime(CLOCK_MONOTONIC, &((event *)e)->at); return 0; }
int aclrtSynchronizeEvent(void *e) { return 0; }
int aclrtQueryEventStatus(void *e, int *status) { *status = 1; return 0; }
int aclrtQueryEventWaitStatus(void *e, int *status) { *status = 1; return 0; }
int aclrtEventElapsedTime(float *ms, void *a, void *b) {
  event *x = a, *y = b;
  *ms = (y->at.tv_sec - x->at.tv_sec) * 1e3f + (y->at.tv_nsec - x->at.tv_nsec) / 1e6f;
  return 0;
}
