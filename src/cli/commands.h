/* SPDX-License-Identifier: BSD-3-Clause */
/* The commands of the program. Each takes what follows its own word on the command line and returns the exit code:
 * 0 done, 1 it could not be done (the text on stderr says why), 2 the command line or the configuration is wrong. */
#ifndef CLI_COMMANDS_H
#define CLI_COMMANDS_H

enum { EXIT_DONE = 0, EXIT_NOT_DONE = 1, EXIT_USAGE = 2 };

int command_serve(int argc, char **argv);
int command_check(int argc, char **argv);
int command_next(int argc, char **argv);
/* argv[0] is the verb ("create"); the noun is the command's word. */
int command_user(int argc, char **argv);
int command_group(int argc, char **argv);
int command_token(int argc, char **argv);

#endif
