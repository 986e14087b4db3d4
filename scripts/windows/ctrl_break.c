/*
 * ctrl_break.exe FILES COMMAND: runs the command line COMMAND, waits until a file of the pattern FILES exists,
 * presses Ctrl-Break in the command's console, and ends with the command's exit code.
 */
#include <stdio.h>
#include <windows.h>

static int fails(const char *what) {
    fprintf(stderr, "ctrl_break: %s: error %lu\n", what, GetLastError());
    return 99;
}

static BOOL exists(const char *pattern) {
    WIN32_FIND_DATAA found;
    HANDLE search = FindFirstFileA(pattern, &found);
    return search != INVALID_HANDLE_VALUE && FindClose(search);
}

int main(int count, char **arguments) {
    STARTUPINFOA start = {.cb = sizeof start, .dwFlags = STARTF_USESTDHANDLES};
    PROCESS_INFORMATION child;
    FARPROC routine;
    DWORD code;
    if (count != 3) {
        return fails("expected a pattern and a command line");
    }
    start.hStdInput = GetStdHandle(STD_INPUT_HANDLE);
    start.hStdOutput = GetStdHandle(STD_OUTPUT_HANDLE);
    start.hStdError = GetStdHandle(STD_ERROR_HANDLE);
    if (!CreateProcessA(NULL, arguments[2], NULL, NULL, TRUE, 0, NULL, NULL, &start, &child)) {
        return fails("cannot start the command");
    }
    while (!exists(arguments[1]) && WaitForSingleObject(child.hProcess, 50) == WAIT_TIMEOUT) {
    }
    /* What a console does; Wine has no GenerateConsoleCtrlEvent for Ctrl-Break. */
    routine = GetProcAddress(GetModuleHandleA("kernelbase"), "CtrlRoutine");
    if (!CreateRemoteThread(child.hProcess, NULL, 0, (LPTHREAD_START_ROUTINE)routine, (void *)CTRL_BREAK_EVENT, 0, NULL)) {
        return fails("cannot press Ctrl-Break");
    }
    WaitForSingleObject(child.hProcess, INFINITE);
    return GetExitCodeProcess(child.hProcess, &code) ? (int)code : fails("no exit code");
}
