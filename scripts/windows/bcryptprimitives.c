/*
 * The one function that Rust's standard library takes from bcryptprimitives.dll, random bytes. Windows has that library from version 10
 * on, Wine from version 9 on; this one is for an older Wine.
 */
#include <windows.h>
#include <ntsecapi.h>

__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE bytes, SIZE_T count) {
    return RtlGenRandom(bytes, (ULONG)count);
}
