/* ptrace(2) for user-mode-linux on processors whose vector registers are more than it has room for
 * (with tiles, AMX): the host's kernel takes them as a whole or not at all. Its part, which comes
 * first, is read, and is written into the whole that there is. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>

#define NT_X86_XSTATE 0x202
#define WHOLE 16384 /* bytes; what there is, is less */

long ptrace(enum __ptrace_request request, ...)
{
	static long (*next)(enum __ptrace_request, ...);
	static _Alignas(64) char whole[WHOLE];
	va_list more;
	va_start(more, request);
	int pid = va_arg(more, int);
	void *address = va_arg(more, void *), *data = va_arg(more, void *);
	va_end(more);
	if (!next)
		next = (long (*)(enum __ptrace_request, ...))dlsym(RTLD_NEXT, "ptrace");
	int get = request == PTRACE_GETREGSET, set = request == PTRACE_SETREGSET;
	if ((!get && !set) || (long)address != NT_X86_XSTATE)
		return next(request, pid, address, data);
	struct iovec all = {whole, sizeof whole}, *part = data;
	long done = next(PTRACE_GETREGSET, pid, address, &all);
	if (done < 0)
		return done;
	if (part->iov_len > all.iov_len)
		part->iov_len = all.iov_len;
	if (get) {
		memcpy(part->iov_base, whole, part->iov_len);
		return 0;
	}
	memcpy(whole, part->iov_base, part->iov_len);
	return next(PTRACE_SETREGSET, pid, address, &all);
}
