# Completion of with-creds for fish: with-creds completion fish | source
function __with_creds_complete
    set -l line (commandline -cp | string collect)
    if string match -qr -- '\s--\s' $line # what follows is a command, with a completion of its own
        complete -C (string replace -r -- '^.*?\s--\s+' '' $line)
        return
    end
    for row in (with-creds completion words -- $line 2>/dev/null)
        switch $row
            case ':files*'
                __fish_complete_path (commandline -ct)
            case ':nospace*'
                # fish puts no space after what ends in one of :=/ by itself
            case '*'
                printf '%s\n' $row
        end
    end
end
complete -c with-creds -f -a '(__with_creds_complete)'
