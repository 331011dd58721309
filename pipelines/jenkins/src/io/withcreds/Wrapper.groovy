package io.withcreds

/** What `sh` runs inside of a withCreds block. */
class Wrapper implements Serializable {
    private static final long serialVersionUID = 1L

    /**
     * A script that runs the given one with the credentials of sessions, the outermost first. It is in a file, since it may have an interpreter of its own in
     * its first line; without one it is run as Jenkins does, `sh -xe`. It is no secret.
     */
    static String wrap(String script, List sessions) {
        String interpreter = 'sh -xe'
        if (script.startsWith('#!')) {
            interpreter = script.substring(2, (script + '\n').indexOf('\n')).trim()
        }
        String run = ''
        for (String session in sessions) {
            run += "with-creds run --session '" + session + "' -- "
        }
        String end = 'END_' + UUID.randomUUID().toString().replace('-', '')
        return '#!/bin/sh\n' +
            'f=$(mktemp "${WORKSPACE_TMP:-${TMPDIR:-/tmp}}/with-creds-XXXXXX") || exit 125\n' +
            // Also when the build is aborted: a shell that ends by a signal would run no trap on EXIT, and waits for the command before it does anything.
            'trap \'rm -f "$f"\' EXIT\ntrap \'exit 143\' HUP INT TERM\n' +
            "cat > \"\$f\" <<'" + end + "'\n" + script + '\n' + end + '\n' +
            run + interpreter + ' "$f"\n'
    }
}
