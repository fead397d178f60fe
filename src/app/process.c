/* SPDX-License-Identifier: Apache-2.0 */
#include "app/process.h"

#include <sys/prctl.h>
#include <sys/resource.h>

#include "base/compiler.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define HAS_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define HAS_SANITIZER 1
#endif
#endif

bool process_hide_memory(void)
{
#ifdef HAS_SANITIZER
    return false;
#else
    /* The limit keeps files away; a program named in core_pattern gets its dump all the same, but
     * not of a process that cannot be dumped. */
    const struct rlimit none = {0, 0};
    (void)setrlimit(RLIMIT_CORE, &none);
    int code = prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    PH_ASSERT(code == 0);
    return true;
#endif
}
