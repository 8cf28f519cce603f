// SPDX-License-Identifier: GPL-2.0-only
#include "flows/screen.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "util/log.h"

/* Escape sequences of ECMA-48, and xterm's second screen, which keeps the first one as it was.
 * Every terminal of the last decades knows them. */
#define ENTER "\033[?1049h\033[?25l"
#define LEAVE "\033[?25h\033[?1049l"
#define HOME "\033[H"
#define CLEAR_LINE "\033[2K"
#define CLEAR_BELOW "\033[J"

static struct termios saved;
static bool taken;

bool screen_there(void)
{
	return isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
}

int screen_open(void)
{
	struct termios raw;

	if (tcgetattr(STDIN_FILENO, &saved))
		return fail(-errno, "terminal");
	raw = saved;
	raw.c_lflag &= ~(ICANON | ECHO);
	raw.c_cc[VMIN] = 0;
	raw.c_cc[VTIME] = 0;
	if (tcsetattr(STDIN_FILENO, TCSANOW, &raw))
		return fail(-errno, "terminal");
	taken = true;
	fputs(ENTER, stdout);
	fflush(stdout);
	return 0;
}

void screen_close(void)
{
	if (!taken)
		return;
	fputs(LEAVE, stdout);
	fflush(stdout);
	tcsetattr(STDIN_FILENO, TCSANOW, &saved);
	taken = false;
}

void screen_size(unsigned int *ret_lines, unsigned int *ret_columns)
{
	struct winsize size;

	*ret_lines = 24;
	*ret_columns = 80;
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) || !size.ws_row || !size.ws_col)
		return;
	*ret_lines = size.ws_row;
	*ret_columns = size.ws_col;
}

void screen_show(const char *text)
{
	unsigned int lines, columns, line;

	screen_size(&lines, &columns);
	fputs(HOME, stdout);
	for (line = 0; line < lines && *text; line++) {
		size_t len = strcspn(text, "\n");

		printf("%s" CLEAR_LINE "%.*s", line ? "\r\n" : "",
		       (int)(len < columns ? len : columns), text);
		text += len + (text[len] == '\n');
	}
	if (line < lines)
		fputs("\r\n" CLEAR_BELOW, stdout);
	fflush(stdout);
}

int screen_key(void)
{
	unsigned char key;

	return read(STDIN_FILENO, &key, 1) == 1 ? key : 0;
}
