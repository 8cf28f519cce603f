# SPDX-License-Identifier: GPL-2.0-only
# Completion of shunt's words for fish. Commands, verbs, options and fixed values
# come from 'shunt help' and 'shunt COMMAND help'.

function __shunt_first
    sed -nE 's/^  ([a-z]+)( .*|$)/\1/p'
end

function __shunt_options
    grep -oE '(^|[[| ])--[a-z][a-z-]*' | tr -d '[| '
end

function __shunt_values
    grep -oE "(^|[[( ])$argv[1] [a-z]+(\\|[a-z]+)*" | grep -F -e '|' -e 'origin local' | sed 's/.* //' | tr '|' '\n'
end

function __shunt_cgroups
    set -l mount (awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts)
    test -z "$mount"; or find $mount -mindepth 1 -maxdepth 4 -type d -printf '%P\n' 2>/dev/null
end

# __shunt_words: what may stand at the cursor
function __shunt_words
    set -l words (commandline -opc)
    set -l shunt $words[1]
    set -l previous $words[-1]
    set -l others
    set -l skip 0
    for word in $words[2..-1]
        if test $skip = 1
            set skip 0
        else if test "$word" = --pin-dir
            set skip 1
        else if not string match -q -- '-*' $word
            set -a others $word
        end
    end
    switch $previous
        case --iface --nat --monitor iface
            sed -n 's/^ *\([^ :]*\):.*/\1/p' /proc/net/dev
            return
        case --cgroup --router-cgroup
            __shunt_cgroups
            return
        case --exclude
            printf '%s\n' port: process:
            return
        case --group
            cut -d: -f1 /etc/group
            return
        case --metrics
            printf '%s\n' :9640 unix:/run/shunt/metrics.sock
            return
        case --config --pin-dir
            __fish_complete_path (commandline -ct)
            return
    end
    if test "$others[1]" = apply; and not string match -q -- '-*' (commandline -ct)
        __fish_complete_path (commandline -ct)
        return
    end
    if test (count $others) = 0
        $shunt help | __shunt_first
        $shunt help | __shunt_options
        return
    end
    set -l help ($shunt $others[1] help 2>/dev/null); or return
    set -l values (printf '%s\n' $help | __shunt_values $previous)
    if test -n "$values"
        printf '%s\n' $values
        return
    end
    switch "$others[1]:$others[2]"
        case steer: nat:
            printf '%s\n' $help | __shunt_first
        case 'steer:*' 'nat:*'
            printf '%s\n' $help | grep "^  $others[2] " | __shunt_options
        case '*'
            printf '%s\n' $help | __shunt_options
    end
    switch "$others[1]:$others[2]"
        case steer:add steer:del steer:test nat:add nat:del
            printf '%s\n' $help | sed -n '/^RULE/,/^$/p' | grep -oE '[a-z]{2,}'
        case 'unload:*'
            printf '%s\n' $help | grep -oE '\(bypass, [a-z, ]*' | tr -d '(' | tr -s ', ' '\n'
        case help:
            $shunt help | __shunt_first
    end
end

complete -c shunt -f -a '(__shunt_words)'
