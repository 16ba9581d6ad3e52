# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_assay_collector_global_optspecs
    string join \n h/help V/version
end

function __fish_assay_collector_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_assay_collector_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_assay_collector_using_subcommand
    set -l cmd (__fish_assay_collector_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c assay-collector -n "__fish_assay_collector_needs_command" -s h -l help -d 'Print help'
complete -c assay-collector -n "__fish_assay_collector_needs_command" -s V -l version -d 'Print version'
complete -c assay-collector -n "__fish_assay_collector_needs_command" -f -a "serve" -d 'Serve agents and people'
complete -c assay-collector -n "__fish_assay_collector_needs_command" -f -a "demo" -d 'Try everything on this machine: a collector, this machine enrolled and scanned, the pages'
complete -c assay-collector -n "__fish_assay_collector_needs_command" -f -a "token" -d 'Make tokens: for hosts that enrol, for programs that use the API'
complete -c assay-collector -n "__fish_assay_collector_needs_command" -f -a "user" -d 'Say who may sign in and what they may do'
complete -c assay-collector -n "__fish_assay_collector_needs_command" -f -a "setting" -d 'Settings that change while the collector works, such as the company\'s name'
complete -c assay-collector -n "__fish_assay_collector_needs_command" -f -a "alert" -d 'Where alerts go, and what could not be delivered'
complete -c assay-collector -n "__fish_assay_collector_needs_command" -f -a "trail" -d 'Who did what and when: ledger entries and logged acts'
complete -c assay-collector -n "__fish_assay_collector_needs_command" -f -a "list" -d 'Give lists to judge by, such as the roster, and look at their versions'
complete -c assay-collector -n "__fish_assay_collector_needs_command" -f -a "commitments" -d 'The company\'s own sentences: whether each is true, since when, where not; and a status page for the public'
complete -c assay-collector -n "__fish_assay_collector_needs_command" -f -a "record" -d 'Record what people must say: incidents, sub-processors, trainings, reviews and the like'
complete -c assay-collector -n "__fish_assay_collector_needs_command" -f -a "finding" -d 'Open findings of the fleet: list them, say who deals with them, take a baseline'
complete -c assay-collector -n "__fish_assay_collector_needs_command" -f -a "waiver" -d 'Accept a failure for a time: asked for by one person, approved by another'
complete -c assay-collector -n "__fish_assay_collector_needs_command" -f -a "evidence" -d 'Export SOC 2 evidence'
complete -c assay-collector -n "__fish_assay_collector_needs_command" -f -a "host" -d 'List hosts, and take them out of the population'
complete -c assay-collector -n "__fish_assay_collector_needs_command" -f -a "ledger" -d 'Look at the ledger, or go on from a restored database'
complete -c assay-collector -n "__fish_assay_collector_needs_command" -f -a "erase" -d 'Erase what is kept of a host or a person, without breaking a proof'
complete -c assay-collector -n "__fish_assay_collector_needs_command" -f -a "backup" -d 'Write the whole store into one file, while the collector works'
complete -c assay-collector -n "__fish_assay_collector_needs_command" -f -a "restore" -d 'Fill an empty store from a backup'
complete -c assay-collector -n "__fish_assay_collector_needs_command" -f -a "migrate" -d 'Move the store to another database'
complete -c assay-collector -n "__fish_assay_collector_needs_command" -f -a "fsck" -d 'Read everything again and name every difference'
complete -c assay-collector -n "__fish_assay_collector_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand serve" -l config -d 'Configuration file; the options below win over it' -r -F
complete -c assay-collector -n "__fish_assay_collector_using_subcommand serve" -l data -d 'Data folder [default: /var/lib/assay-collector]' -r -F
complete -c assay-collector -n "__fish_assay_collector_using_subcommand serve" -l agents -d 'Where agents connect [default: 0.0.0.0:9443]' -r
complete -c assay-collector -n "__fish_assay_collector_using_subcommand serve" -l people -d 'Where people connect [default: 0.0.0.0:8443]' -r
complete -c assay-collector -n "__fish_assay_collector_using_subcommand serve" -l operations -d 'Where monitoring asks for /metrics, /healthz and /readyz, plain HTTP on a loopback address [default: nowhere]' -r
complete -c assay-collector -n "__fish_assay_collector_using_subcommand serve" -l log-format -d 'How the log is written to standard error' -r -f -a "text\t'For people'
json\t'One JSON object a line: timestamp, level, message and the fields of the event'"
complete -c assay-collector -n "__fish_assay_collector_using_subcommand serve" -l name -d 'Name or address by which agents and people reach this collector (repeatable)' -r
complete -c assay-collector -n "__fish_assay_collector_using_subcommand serve" -l plain-http -d 'Serve people plain HTTP, on a loopback address only'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand serve" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand demo" -l people -d 'Where the review pages are served (plain HTTP, loopback only) [default: 127.0.0.1:8650, or a free port]' -r
complete -c assay-collector -n "__fish_assay_collector_using_subcommand demo" -s h -l help -d 'Print help'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand token; and not __fish_seen_subcommand_from create api list revoke help" -s h -l help -d 'Print help'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand token; and not __fish_seen_subcommand_from create api list revoke help" -f -a "create" -d 'Make a token that enrols hosts, and print it; only its digest is kept'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand token; and not __fish_seen_subcommand_from create api list revoke help" -f -a "api" -d 'Make a token with which a program uses the API for a user, and print it; only its digest is kept'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand token; and not __fish_seen_subcommand_from create api list revoke help" -f -a "list" -d 'List tokens of the API: whose, what they open, when they were used last'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand token; and not __fish_seen_subcommand_from create api list revoke help" -f -a "revoke" -d 'Revoke a token of the API; a running collector knows at once'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand token; and not __fish_seen_subcommand_from create api list revoke help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand token; and __fish_seen_subcommand_from create" -l uses -d 'How many hosts it may enrol' -r
complete -c assay-collector -n "__fish_assay_collector_using_subcommand token; and __fish_seen_subcommand_from create" -l expires -d 'How long it is good for: a number and m, h or d' -r
complete -c assay-collector -n "__fish_assay_collector_using_subcommand token; and __fish_seen_subcommand_from create" -l data -d 'Data folder of the collector' -r -F
complete -c assay-collector -n "__fish_assay_collector_using_subcommand token; and __fish_seen_subcommand_from create" -s h -l help -d 'Print help'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand token; and __fish_seen_subcommand_from api" -l user -d 'Name of the user for whom the program acts' -r
complete -c assay-collector -n "__fish_assay_collector_using_subcommand token; and __fish_seen_subcommand_from api" -l role -d 'What it may do; never more than the user: admin, reviewer, auditor or viewer' -r
complete -c assay-collector -n "__fish_assay_collector_using_subcommand token; and __fish_seen_subcommand_from api" -l name -d 'What people call it' -r
complete -c assay-collector -n "__fish_assay_collector_using_subcommand token; and __fish_seen_subcommand_from api" -l area -d 'Area of the API that it opens, such as records (repeatable) [default: all]' -r
complete -c assay-collector -n "__fish_assay_collector_using_subcommand token; and __fish_seen_subcommand_from api" -l days -d 'Days that it is good for' -r
complete -c assay-collector -n "__fish_assay_collector_using_subcommand token; and __fish_seen_subcommand_from api" -l data -d 'Data folder of the collector' -r -F
complete -c assay-collector -n "__fish_assay_collector_using_subcommand token; and __fish_seen_subcommand_from api" -l read-only -d 'It changes nothing'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand token; and __fish_seen_subcommand_from api" -s h -l help -d 'Print help'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand token; and __fish_seen_subcommand_from list" -l format -d 'How to print' -r -f -a "table\t'For people'
json\t'For programs'"
complete -c assay-collector -n "__fish_assay_collector_using_subcommand token; and __fish_seen_subcommand_from list" -l data -d 'Data folder of the collector' -r -F
complete -c assay-collector -n "__fish_assay_collector_using_subcommand token; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand token; and __fish_seen_subcommand_from revoke" -l data -d 'Data folder of the collector' -r -F
complete -c assay-collector -n "__fish_assay_collector_using_subcommand token; and __fish_seen_subcommand_from revoke" -s h -l help -d 'Print help'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand token; and __fish_seen_subcommand_from help" -f -a "create" -d 'Make a token that enrols hosts, and print it; only its digest is kept'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand token; and __fish_seen_subcommand_from help" -f -a "api" -d 'Make a token with which a program uses the API for a user, and print it; only its digest is kept'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand token; and __fish_seen_subcommand_from help" -f -a "list" -d 'List tokens of the API: whose, what they open, when they were used last'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand token; and __fish_seen_subcommand_from help" -f -a "revoke" -d 'Revoke a token of the API; a running collector knows at once'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand token; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand user; and not __fish_seen_subcommand_from add change grant reset-second-factor remove list help" -s h -l help -d 'Print help'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand user; and not __fish_seen_subcommand_from add change grant reset-second-factor remove list help" -f -a "add" -d 'Add a person who may sign in, or give one of this name a new role and password'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand user; and not __fish_seen_subcommand_from add change grant reset-second-factor remove list help" -f -a "change" -d 'Give a person another role, from the next request on'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand user; and not __fish_seen_subcommand_from add change grant reset-second-factor remove list help" -f -a "grant" -d 'Set or take away the bounds within which an auditor looks'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand user; and not __fish_seen_subcommand_from add change grant reset-second-factor remove list help" -f -a "reset-second-factor" -d 'Take the second factor of a person away, who lost the authenticator'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand user; and not __fish_seen_subcommand_from add change grant reset-second-factor remove list help" -f -a "remove" -d 'Let a person sign in no longer, and end the sessions'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand user; and not __fish_seen_subcommand_from add change grant reset-second-factor remove list help" -f -a "list" -d 'List who may sign in and who might once, with the id by which the ledger knows them'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand user; and not __fish_seen_subcommand_from add change grant reset-second-factor remove list help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand user; and __fish_seen_subcommand_from add" -l role -d 'What the person may do' -r -f -a "admin\t''
reviewer\t''
auditor\t''
viewer\t''"
complete -c assay-collector -n "__fish_assay_collector_using_subcommand user; and __fish_seen_subcommand_from add" -l password-file -d 'File that holds the password; without it a one-time sign-in link is printed' -r -F
complete -c assay-collector -n "__fish_assay_collector_using_subcommand user; and __fish_seen_subcommand_from add" -l data -d 'Data folder of the collector' -r -F
complete -c assay-collector -n "__fish_assay_collector_using_subcommand user; and __fish_seen_subcommand_from add" -s h -l help -d 'Print help'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand user; and __fish_seen_subcommand_from change" -l role -d 'What the person may do from now on' -r -f -a "admin\t''
reviewer\t''
auditor\t''
viewer\t''"
complete -c assay-collector -n "__fish_assay_collector_using_subcommand user; and __fish_seen_subcommand_from change" -l data -d 'Data folder of the collector' -r -F
complete -c assay-collector -n "__fish_assay_collector_using_subcommand user; and __fish_seen_subcommand_from change" -s h -l help -d 'Print help'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand user; and __fish_seen_subcommand_from grant" -l framework -d 'Framework or page of commitments, by its id (repeatable) [default: all]' -r
complete -c assay-collector -n "__fish_assay_collector_using_subcommand user; and __fish_seen_subcommand_from grant" -l from -d 'First day' -r
complete -c assay-collector -n "__fish_assay_collector_using_subcommand user; and __fish_seen_subcommand_from grant" -l to -d 'Last day' -r
complete -c assay-collector -n "__fish_assay_collector_using_subcommand user; and __fish_seen_subcommand_from grant" -l host -d 'Name of a host, * for any characters (repeatable) [default: all]' -r
complete -c assay-collector -n "__fish_assay_collector_using_subcommand user; and __fish_seen_subcommand_from grant" -l data -d 'Data folder of the collector' -r -F
complete -c assay-collector -n "__fish_assay_collector_using_subcommand user; and __fish_seen_subcommand_from grant" -l none -d 'Take the bounds away'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand user; and __fish_seen_subcommand_from grant" -s h -l help -d 'Print help'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand user; and __fish_seen_subcommand_from reset-second-factor" -l data -d 'Data folder of the collector' -r -F
complete -c assay-collector -n "__fish_assay_collector_using_subcommand user; and __fish_seen_subcommand_from reset-second-factor" -s h -l help -d 'Print help'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand user; and __fish_seen_subcommand_from remove" -l data -d 'Data folder of the collector' -r -F
complete -c assay-collector -n "__fish_assay_collector_using_subcommand user; and __fish_seen_subcommand_from remove" -s h -l help -d 'Print help'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand user; and __fish_seen_subcommand_from list" -l format -d 'How to print' -r -f -a "table\t'For people'
json\t'For programs'"
complete -c assay-collector -n "__fish_assay_collector_using_subcommand user; and __fish_seen_subcommand_from list" -l data -d 'Data folder of the collector' -r -F
complete -c assay-collector -n "__fish_assay_collector_using_subcommand user; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand user; and __fish_seen_subcommand_from help" -f -a "add" -d 'Add a person who may sign in, or give one of this name a new role and password'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand user; and __fish_seen_subcommand_from help" -f -a "change" -d 'Give a person another role, from the next request on'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand user; and __fish_seen_subcommand_from help" -f -a "grant" -d 'Set or take away the bounds within which an auditor looks'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand user; and __fish_seen_subcommand_from help" -f -a "reset-second-factor" -d 'Take the second factor of a person away, who lost the authenticator'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand user; and __fish_seen_subcommand_from help" -f -a "remove" -d 'Let a person sign in no longer, and end the sessions'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand user; and __fish_seen_subcommand_from help" -f -a "list" -d 'List who may sign in and who might once, with the id by which the ledger knows them'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand user; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand setting; and not __fish_seen_subcommand_from list set help" -s h -l help -d 'Print help'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand setting; and not __fish_seen_subcommand_from list set help" -f -a "list" -d 'List settings and what they are'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand setting; and not __fish_seen_subcommand_from list set help" -f -a "set" -d 'Change one; the ledger keeps who did it'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand setting; and not __fish_seen_subcommand_from list set help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand setting; and __fish_seen_subcommand_from list" -l format -d 'How to print' -r -f -a "table\t'For people'
json\t'For programs'"
complete -c assay-collector -n "__fish_assay_collector_using_subcommand setting; and __fish_seen_subcommand_from list" -l data -d 'Data folder of the collector' -r -F
complete -c assay-collector -n "__fish_assay_collector_using_subcommand setting; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand setting; and __fish_seen_subcommand_from set" -l data -d 'Data folder of the collector' -r -F
complete -c assay-collector -n "__fish_assay_collector_using_subcommand setting; and __fish_seen_subcommand_from set" -s h -l help -d 'Print help'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand setting; and __fish_seen_subcommand_from help" -f -a "list" -d 'List settings and what they are'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand setting; and __fish_seen_subcommand_from help" -f -a "set" -d 'Change one; the ledger keeps who did it'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand setting; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand alert; and not __fish_seen_subcommand_from add list test remove retry help" -s h -l help -d 'Print help'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand alert; and not __fish_seen_subcommand_from add list test remove retry help" -f -a "add" -d 'Add a target'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand alert; and not __fish_seen_subcommand_from add list test remove retry help" -f -a "list" -d 'List targets, and messages that wait or were given up'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand alert; and not __fish_seen_subcommand_from add list test remove retry help" -f -a "test" -d 'Send a test: a running collector delivers it within seconds'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand alert; and not __fish_seen_subcommand_from add list test remove retry help" -f -a "remove" -d 'Remove a target with its messages'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand alert; and not __fish_seen_subcommand_from add list test remove retry help" -f -a "retry" -d 'Try a message again that was given up'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand alert; and not __fish_seen_subcommand_from add list test remove retry help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand alert; and __fish_seen_subcommand_from add" -l address -d 'Webhook: https://…; mail and syslog: HOST:PORT' -r
complete -c assay-collector -n "__fish_assay_collector_using_subcommand alert; and __fish_seen_subcommand_from add" -l ca -d 'Certificate (PEM) of the authority that the receiver\'s certificate is by [default: those of this system]' -r -F
complete -c assay-collector -n "__fish_assay_collector_using_subcommand alert; and __fish_seen_subcommand_from add" -l secret-file -d 'File with the key of a webhook or the password of mail [default: a key is made and printed; no password]' -r -F
complete -c assay-collector -n "__fish_assay_collector_using_subcommand alert; and __fish_seen_subcommand_from add" -l security -d 'Mail: tls, starttls, or none on this machine' -r
complete -c assay-collector -n "__fish_assay_collector_using_subcommand alert; and __fish_seen_subcommand_from add" -l user -d 'Mail: name to sign in with' -r
complete -c assay-collector -n "__fish_assay_collector_using_subcommand alert; and __fish_seen_subcommand_from add" -l from -d 'Mail: sender' -r
complete -c assay-collector -n "__fish_assay_collector_using_subcommand alert; and __fish_seen_subcommand_from add" -l to -d 'Mail: receiver (repeatable)' -r
complete -c assay-collector -n "__fish_assay_collector_using_subcommand alert; and __fish_seen_subcommand_from add" -l severity -d 'Failures at or above: critical, high, medium, low or info' -r
complete -c assay-collector -n "__fish_assay_collector_using_subcommand alert; and __fish_seen_subcommand_from add" -l data -d 'Data folder of the collector' -r -F
complete -c assay-collector -n "__fish_assay_collector_using_subcommand alert; and __fish_seen_subcommand_from add" -l digest -d 'Mail: the weekly digest goes there, too'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand alert; and __fish_seen_subcommand_from add" -s h -l help -d 'Print help'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand alert; and __fish_seen_subcommand_from list" -l format -d 'How to print' -r -f -a "table\t'For people'
json\t'For programs'"
complete -c assay-collector -n "__fish_assay_collector_using_subcommand alert; and __fish_seen_subcommand_from list" -l data -d 'Data folder of the collector' -r -F
complete -c assay-collector -n "__fish_assay_collector_using_subcommand alert; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand alert; and __fish_seen_subcommand_from test" -l data -d 'Data folder of the collector' -r -F
complete -c assay-collector -n "__fish_assay_collector_using_subcommand alert; and __fish_seen_subcommand_from test" -s h -l help -d 'Print help'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand alert; and __fish_seen_subcommand_from remove" -l data -d 'Data folder of the collector' -r -F
complete -c assay-collector -n "__fish_assay_collector_using_subcommand alert; and __fish_seen_subcommand_from remove" -s h -l help -d 'Print help'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand alert; and __fish_seen_subcommand_from retry" -l data -d 'Data folder of the collector' -r -F
complete -c assay-collector -n "__fish_assay_collector_using_subcommand alert; and __fish_seen_subcommand_from retry" -l dismiss -d 'Throw it away instead'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand alert; and __fish_seen_subcommand_from retry" -s h -l help -d 'Print help'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand alert; and __fish_seen_subcommand_from help" -f -a "add" -d 'Add a target'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand alert; and __fish_seen_subcommand_from help" -f -a "list" -d 'List targets, and messages that wait or were given up'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand alert; and __fish_seen_subcommand_from help" -f -a "test" -d 'Send a test: a running collector delivers it within seconds'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand alert; and __fish_seen_subcommand_from help" -f -a "remove" -d 'Remove a target with its messages'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand alert; and __fish_seen_subcommand_from help" -f -a "retry" -d 'Try a message again that was given up'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand alert; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand trail" -l kind -d 'Kind of entry or act, such as user, export, sign-in, opened' -r
complete -c assay-collector -n "__fish_assay_collector_using_subcommand trail" -l person -d 'Who: a name to sign in with, or the id that the ledger knows' -r
complete -c assay-collector -n "__fish_assay_collector_using_subcommand trail" -l day -d 'One day only, UTC' -r
complete -c assay-collector -n "__fish_assay_collector_using_subcommand trail" -l limit -d 'Most lines' -r
complete -c assay-collector -n "__fish_assay_collector_using_subcommand trail" -l format -d 'How to print' -r -f -a "table\t'For people'
json\t'For programs'"
complete -c assay-collector -n "__fish_assay_collector_using_subcommand trail" -l data -d 'Data folder of the collector' -r -F
complete -c assay-collector -n "__fish_assay_collector_using_subcommand trail" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand list; and not __fish_seen_subcommand_from put show history help" -s h -l help -d 'Print help'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand list; and not __fish_seen_subcommand_from put show history help" -f -a "put" -d 'Put a new version of a list into force; a running collector judges by it within seconds'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand list; and not __fish_seen_subcommand_from put show history help" -f -a "show" -d 'Print a version of a list as it was given'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand list; and not __fish_seen_subcommand_from put show history help" -f -a "history" -d 'List the versions of a list: since when, until when, rows, by whom, digest'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand list; and not __fish_seen_subcommand_from put show history help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand list; and __fish_seen_subcommand_from put" -l data -d 'Data folder of the collector' -r -F
complete -c assay-collector -n "__fish_assay_collector_using_subcommand list; and __fish_seen_subcommand_from put" -s h -l help -d 'Print help'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand list; and __fish_seen_subcommand_from show" -l as-of -d 'The version that was in force then: a day (as of its end, UTC) or a time' -r
complete -c assay-collector -n "__fish_assay_collector_using_subcommand list; and __fish_seen_subcommand_from show" -l data -d 'Data folder of the collector' -r -F
complete -c assay-collector -n "__fish_assay_collector_using_subcommand list; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand list; and __fish_seen_subcommand_from history" -l format -d 'How to print' -r -f -a "table\t'For people'
json\t'For programs'"
complete -c assay-collector -n "__fish_assay_collector_using_subcommand list; and __fish_seen_subcommand_from history" -l data -d 'Data folder of the collector' -r -F
complete -c assay-collector -n "__fish_assay_collector_using_subcommand list; and __fish_seen_subcommand_from history" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand list; and __fish_seen_subcommand_from help" -f -a "put" -d 'Put a new version of a list into force; a running collector judges by it within seconds'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand list; and __fish_seen_subcommand_from help" -f -a "show" -d 'Print a version of a list as it was given'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand list; and __fish_seen_subcommand_from help" -f -a "history" -d 'List the versions of a list: since when, until when, rows, by whom, digest'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand list; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand commitments; and not __fish_seen_subcommand_from check status publish help" -s h -l help -d 'Print help'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand commitments; and not __fish_seen_subcommand_from check status publish help" -f -a "check" -d 'Check pages without putting them into force: what they name must be there'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand commitments; and not __fish_seen_subcommand_from check status publish help" -f -a "status" -d 'Tell of each sentence whether it is true, since when, and on which hosts not'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand commitments; and not __fish_seen_subcommand_from check status publish help" -f -a "publish" -d 'Write a status page for the public: what the page publishes, and no more'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand commitments; and not __fish_seen_subcommand_from check status publish help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand commitments; and __fish_seen_subcommand_from check" -l rules -d 'Folder of rules that the collector judges by, when not the built-in pack' -r -F
complete -c assay-collector -n "__fish_assay_collector_using_subcommand commitments; and __fish_seen_subcommand_from check" -s h -l help -d 'Print help'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand commitments; and __fish_seen_subcommand_from status" -l page -d 'One page by its id, also one that the program carries; otherwise the company\'s own' -r
complete -c assay-collector -n "__fish_assay_collector_using_subcommand commitments; and __fish_seen_subcommand_from status" -l as-of -d 'As it stood then: a day (as of its end, UTC) or a time' -r
complete -c assay-collector -n "__fish_assay_collector_using_subcommand commitments; and __fish_seen_subcommand_from status" -l format -d 'How to print' -r -f -a "table\t'For people'
json\t'For programs'"
complete -c assay-collector -n "__fish_assay_collector_using_subcommand commitments; and __fish_seen_subcommand_from status" -l fail-on -d 'Fail when a sentence is false because of a rule of at least this severity' -r
complete -c assay-collector -n "__fish_assay_collector_using_subcommand commitments; and __fish_seen_subcommand_from status" -l rules -d 'Folder of rules that the collector judges by, when not the built-in pack' -r -F
complete -c assay-collector -n "__fish_assay_collector_using_subcommand commitments; and __fish_seen_subcommand_from status" -l data -d 'Data folder of the collector' -r -F
complete -c assay-collector -n "__fish_assay_collector_using_subcommand commitments; and __fish_seen_subcommand_from status" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand commitments; and __fish_seen_subcommand_from publish" -l page -d 'Id of the page' -r
complete -c assay-collector -n "__fish_assay_collector_using_subcommand commitments; and __fish_seen_subcommand_from publish" -l out -d 'Folder for index.html and status.json; made when it is not there' -r -F
complete -c assay-collector -n "__fish_assay_collector_using_subcommand commitments; and __fish_seen_subcommand_from publish" -l as-of -d 'As it stood then: a day (as of its end, UTC) or a time' -r
complete -c assay-collector -n "__fish_assay_collector_using_subcommand commitments; and __fish_seen_subcommand_from publish" -l rules -d 'Folder of rules that the collector judges by, when not the built-in pack' -r -F
complete -c assay-collector -n "__fish_assay_collector_using_subcommand commitments; and __fish_seen_subcommand_from publish" -l data -d 'Data folder of the collector' -r -F
complete -c assay-collector -n "__fish_assay_collector_using_subcommand commitments; and __fish_seen_subcommand_from publish" -s h -l help -d 'Print help'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand commitments; and __fish_seen_subcommand_from help" -f -a "check" -d 'Check pages without putting them into force: what they name must be there'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand commitments; and __fish_seen_subcommand_from help" -f -a "status" -d 'Tell of each sentence whether it is true, since when, and on which hosts not'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand commitments; and __fish_seen_subcommand_from help" -f -a "publish" -d 'Write a status page for the public: what the page publishes, and no more'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand commitments; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand record; and not __fish_seen_subcommand_from types add change close withdraw sign-off list show due file export notification review help" -s h -l help -d 'Print help'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand record; and not __fish_seen_subcommand_from types add change close withdraw sign-off list show due file export notification review help" -f -a "types" -d 'List what can be recorded, or tell the fields of one type'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand record; and not __fish_seen_subcommand_from types add change close withdraw sign-off list show due file export notification review help" -f -a "add" -d 'Record a new entry'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand record; and not __fish_seen_subcommand_from types add change close withdraw sign-off list show due file export notification review help" -f -a "change" -d 'Give fields of an entry other values; what they were stays in its history'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand record; and not __fish_seen_subcommand_from types add change close withdraw sign-off list show due file export notification review help" -f -a "close" -d 'Say that the matter is done; the entry stays'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand record; and not __fish_seen_subcommand_from types add change close withdraw sign-off list show due file export notification review help" -f -a "withdraw" -d 'Say that an entry was a mistake: it counts no longer and stays visible'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand record; and not __fish_seen_subcommand_from types add change close withdraw sign-off list show due file export notification review help" -f -a "sign-off" -d 'Sign that a register is complete as it is, also when it is empty'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand record; and not __fish_seen_subcommand_from types add change close withdraw sign-off list show due file export notification review help" -f -a "list" -d 'List the entries of a type and how they stand'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand record; and not __fish_seen_subcommand_from types add change close withdraw sign-off list show due file export notification review help" -f -a "show" -d 'Show an entry with each of its events'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand record; and not __fish_seen_subcommand_from types add change close withdraw sign-off list show due file export notification review help" -f -a "due" -d 'List what is overdue, missing or wrong, and what will be'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand record; and not __fish_seen_subcommand_from types add change close withdraw sign-off list show due file export notification review help" -f -a "file" -d 'Write a file of an entry to disk'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand record; and not __fish_seen_subcommand_from types add change close withdraw sign-off list show due file export notification review help" -f -a "export" -d 'Print what is published from a register'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand record; and not __fish_seen_subcommand_from types add change close withdraw sign-off list show due file export notification review help" -f -a "notification" -d 'Print the notification of an incident, ready to be sent'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand record; and not __fish_seen_subcommand_from types add change close withdraw sign-off list show due file export notification review help" -f -a "review" -d 'Review who can act with more than ordinary rights'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand record; and not __fish_seen_subcommand_from types add change close withdraw sign-off list show due file export notification review help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand record; and __fish_seen_subcommand_from types" -l format -d 'How to print' -r -f -a "table\t'For people'
json\t'For programs'"
complete -c assay-collector -n "__fish_assay_collector_using_subcommand record; and __fish_seen_subcommand_from types" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand record; and __fish_seen_subcommand_from add" -l subject -d 'Person, group, site or thing that the entry is about' -r
complete -c assay-collector -n "__fish_assay_collector_using_subcommand record; and __fish_seen_subcommand_from add" -l field -d 'A value: NAME=TEXT, or NAME=@PATH for a text from a file; an empty text empties the field' -r
complete -c assay-collector -n "__fish_assay_collector_using_subcommand record; and __fish_seen_subcommand_from add" -l file -d 'A file to keep with the entry, up to 16 MiB; the only file fills the only field for one' -r -F
complete -c assay-collector -n "__fish_assay_collector_using_subcommand record; and __fish_seen_subcommand_from add" -l data -d 'Data folder of the collector' -r -F
complete -c assay-collector -n "__fish_assay_collector_using_subcommand record; and __fish_seen_subcommand_from add" -s h -l help -d 'Print help'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand record; and __fish_seen_subcommand_from change" -l field -d 'A value: NAME=TEXT, or NAME=@PATH for a text from a file; an empty text empties the field' -r
complete -c assay-collector -n "__fish_assay_collector_using_subcommand record; and __fish_seen_subcommand_from change" -l file -d 'A file to keep with the entry, up to 16 MiB; the only file fills the only field for one' -r -F
complete -c assay-collector -n "__fish_assay_collector_using_subcommand record; and __fish_seen_subcommand_from change" -l data -d 'Data folder of the collector' -r -F
complete -c assay-collector -n "__fish_assay_collector_using_subcommand record; and __fish_seen_subcommand_from change" -s h -l help -d 'Print help'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand record; and __fish_seen_subcommand_from close" -l note -d 'How it ended' -r
complete -c assay-collector -n "__fish_assay_collector_using_subcommand record; and __fish_seen_subcommand_from close" -l field -d 'A value: NAME=TEXT, or NAME=@PATH for a text from a file; an empty text empties the field' -r
complete -c assay-collector -n "__fish_assay_collector_using_subcommand record; and __fish_seen_subcommand_from close" -l file -d 'A file to keep with the entry, up to 16 MiB; the only file fills the only field for one' -r -F
complete -c assay-collector -n "__fish_assay_collector_using_subcommand record; and __fish_seen_subcommand_from close" -l data -d 'Data folder of the collector' -r -F
complete -c assay-collector -n "__fish_assay_collector_using_subcommand record; and __fish_seen_subcommand_from close" -s h -l help -d 'Print help'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand record; and __fish_seen_subcommand_from withdraw" -l note -d 'Why' -r
complete -c assay-collector -n "__fish_assay_collector_using_subcommand record; and __fish_seen_subcommand_from withdraw" -l data -d 'Data folder of the collector' -r -F
complete -c assay-collector -n "__fish_assay_collector_using_subcommand record; and __fish_seen_subcommand_from withdraw" -s h -l help -d 'Print help'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand record; and __fish_seen_subcommand_from sign-off" -l note -d 'What was looked at' -r
complete -c assay-collector -n "__fish_assay_collector_using_subcommand record; and __fish_seen_subcommand_from sign-off" -l data -d 'Data folder of the collector' -r -F
complete -c assay-collector -n "__fish_assay_collector_using_subcommand record; and __fish_seen_subcommand_from sign-off" -s h -l help -d 'Print help'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand record; and __fish_seen_subcommand_from list" -l as-of -d 'As of the end of a day, or a time' -r
complete -c assay-collector -n "__fish_assay_collector_using_subcommand record; and __fish_seen_subcommand_from list" -l format -d 'How to print' -r -f -a "table\t'For people'
json\t'For programs'"
complete -c assay-collector -n "__fish_assay_collector_using_subcommand record; and __fish_seen_subcommand_from list" -l data -d 'Data folder of the collector' -r -F
complete -c assay-collector -n "__fish_assay_collector_using_subcommand record; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand record; and __fish_seen_subcommand_from show" -l format -d 'How to print' -r -f -a "table\t'For people'
json\t'For programs'"
complete -c assay-collector -n "__fish_assay_collector_using_subcommand record; and __fish_seen_subcommand_from show" -l data -d 'Data folder of the collector' -r -F
complete -c assay-collector -n "__fish_assay_collector_using_subcommand record; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand record; and __fish_seen_subcommand_from due" -l within -d 'Also what comes within so many days' -r
complete -c assay-collector -n "__fish_assay_collector_using_subcommand record; and __fish_seen_subcommand_from due" -l format -d 'How to print' -r -f -a "table\t'For people'
json\t'For programs'"
complete -c assay-collector -n "__fish_assay_collector_using_subcommand record; and __fish_seen_subcommand_from due" -l data -d 'Data folder of the collector' -r -F
complete -c assay-collector -n "__fish_assay_collector_using_subcommand record; and __fish_seen_subcommand_from due" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand record; and __fish_seen_subcommand_from file" -l out -d 'Where to write it; must not be there yet' -r -F
complete -c assay-collector -n "__fish_assay_collector_using_subcommand record; and __fish_seen_subcommand_from file" -l data -d 'Data folder of the collector' -r -F
complete -c assay-collector -n "__fish_assay_collector_using_subcommand record; and __fish_seen_subcommand_from file" -s h -l help -d 'Print help'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand record; and __fish_seen_subcommand_from export" -l format -d 'In which form' -r -f -a "html\t'A page'
md\t'Markdown'
json\t'For programs'"
complete -c assay-collector -n "__fish_assay_collector_using_subcommand record; and __fish_seen_subcommand_from export" -l as-of -d 'As of the end of a day, or a time' -r
complete -c assay-collector -n "__fish_assay_collector_using_subcommand record; and __fish_seen_subcommand_from export" -l data -d 'Data folder of the collector' -r -F
complete -c assay-collector -n "__fish_assay_collector_using_subcommand record; and __fish_seen_subcommand_from export" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand record; and __fish_seen_subcommand_from notification" -l data -d 'Data folder of the collector' -r -F
complete -c assay-collector -n "__fish_assay_collector_using_subcommand record; and __fish_seen_subcommand_from notification" -s h -l help -d 'Print help'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand record; and __fish_seen_subcommand_from review" -s h -l help -d 'Print help'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand record; and __fish_seen_subcommand_from review" -f -a "start" -d 'Take the list from the newest facts of all hosts'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand record; and __fish_seen_subcommand_from review" -f -a "show" -d 'Show the list with the decisions so far'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand record; and __fish_seen_subcommand_from review" -f -a "decide" -d 'Decide about items'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand record; and __fish_seen_subcommand_from review" -f -a "finish" -d 'Close a review of which every item is decided'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand record; and __fish_seen_subcommand_from review" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand record; and __fish_seen_subcommand_from help" -f -a "types" -d 'List what can be recorded, or tell the fields of one type'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand record; and __fish_seen_subcommand_from help" -f -a "add" -d 'Record a new entry'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand record; and __fish_seen_subcommand_from help" -f -a "change" -d 'Give fields of an entry other values; what they were stays in its history'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand record; and __fish_seen_subcommand_from help" -f -a "close" -d 'Say that the matter is done; the entry stays'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand record; and __fish_seen_subcommand_from help" -f -a "withdraw" -d 'Say that an entry was a mistake: it counts no longer and stays visible'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand record; and __fish_seen_subcommand_from help" -f -a "sign-off" -d 'Sign that a register is complete as it is, also when it is empty'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand record; and __fish_seen_subcommand_from help" -f -a "list" -d 'List the entries of a type and how they stand'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand record; and __fish_seen_subcommand_from help" -f -a "show" -d 'Show an entry with each of its events'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand record; and __fish_seen_subcommand_from help" -f -a "due" -d 'List what is overdue, missing or wrong, and what will be'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand record; and __fish_seen_subcommand_from help" -f -a "file" -d 'Write a file of an entry to disk'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand record; and __fish_seen_subcommand_from help" -f -a "export" -d 'Print what is published from a register'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand record; and __fish_seen_subcommand_from help" -f -a "notification" -d 'Print the notification of an incident, ready to be sent'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand record; and __fish_seen_subcommand_from help" -f -a "review" -d 'Review who can act with more than ordinary rights'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand record; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand finding; and not __fish_seen_subcommand_from list assign baseline help" -s h -l help -d 'Print help'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand finding; and not __fish_seen_subcommand_from list assign baseline help" -f -a "list" -d 'List open findings, by root cause or one by one'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand finding; and not __fish_seen_subcommand_from list assign baseline help" -f -a "assign" -d 'Say who deals with open findings, and until when'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand finding; and not __fish_seen_subcommand_from list assign baseline help" -f -a "baseline" -d 'Take a baseline: what is open now is known, what changes after it is news'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand finding; and not __fish_seen_subcommand_from list assign baseline help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand finding; and __fish_seen_subcommand_from list" -l verdict -d 'fail, unknown or waived; without it fail and unknown' -r
complete -c assay-collector -n "__fish_assay_collector_using_subcommand finding; and __fish_seen_subcommand_from list" -l severity -d 'critical, high, medium, low or info' -r
complete -c assay-collector -n "__fish_assay_collector_using_subcommand finding; and __fish_seen_subcommand_from list" -l area -d 'First word of the ids of rules, such as tls' -r
complete -c assay-collector -n "__fish_assay_collector_using_subcommand finding; and __fish_seen_subcommand_from list" -l rule -d 'Id of a rule' -r
complete -c assay-collector -n "__fish_assay_collector_using_subcommand finding; and __fish_seen_subcommand_from list" -l label -d 'Hosts with this label' -r
complete -c assay-collector -n "__fish_assay_collector_using_subcommand finding; and __fish_seen_subcommand_from list" -l owner -d 'Who deals with them; \'(nobody)\': nobody does' -r
complete -c assay-collector -n "__fish_assay_collector_using_subcommand finding; and __fish_seen_subcommand_from list" -l age -d 'week, month, quarter or older: open for under 7, up to 30, up to 90, more days' -r
complete -c assay-collector -n "__fish_assay_collector_using_subcommand finding; and __fish_seen_subcommand_from list" -l baseline -d 'new or known since the baseline in force' -r
complete -c assay-collector -n "__fish_assay_collector_using_subcommand finding; and __fish_seen_subcommand_from list" -l search -d 'Words that rule, subject, message or name of the host hold' -r
complete -c assay-collector -n "__fish_assay_collector_using_subcommand finding; and __fish_seen_subcommand_from list" -l as-of -d 'As of the end of a day, or a time' -r
complete -c assay-collector -n "__fish_assay_collector_using_subcommand finding; and __fish_seen_subcommand_from list" -l format -d 'How to print' -r -f -a "table\t'For people'
json\t'For programs'
csv\t'For spreadsheets'"
complete -c assay-collector -n "__fish_assay_collector_using_subcommand finding; and __fish_seen_subcommand_from list" -l data -d 'Data folder of the collector' -r -F
complete -c assay-collector -n "__fish_assay_collector_using_subcommand finding; and __fish_seen_subcommand_from list" -l overdue -d 'Past their day'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand finding; and __fish_seen_subcommand_from list" -l groups -d 'By root cause'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand finding; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand finding; and __fish_seen_subcommand_from assign" -l verdict -d 'fail, unknown or waived; without it fail and unknown' -r
complete -c assay-collector -n "__fish_assay_collector_using_subcommand finding; and __fish_seen_subcommand_from assign" -l severity -d 'critical, high, medium, low or info' -r
complete -c assay-collector -n "__fish_assay_collector_using_subcommand finding; and __fish_seen_subcommand_from assign" -l area -d 'First word of the ids of rules, such as tls' -r
complete -c assay-collector -n "__fish_assay_collector_using_subcommand finding; and __fish_seen_subcommand_from assign" -l rule -d 'Id of a rule' -r
complete -c assay-collector -n "__fish_assay_collector_using_subcommand finding; and __fish_seen_subcommand_from assign" -l label -d 'Hosts with this label' -r
complete -c assay-collector -n "__fish_assay_collector_using_subcommand finding; and __fish_seen_subcommand_from assign" -l owner -d 'Who deals with them; \'(nobody)\': nobody does' -r
complete -c assay-collector -n "__fish_assay_collector_using_subcommand finding; and __fish_seen_subcommand_from assign" -l age -d 'week, month, quarter or older: open for under 7, up to 30, up to 90, more days' -r
complete -c assay-collector -n "__fish_assay_collector_using_subcommand finding; and __fish_seen_subcommand_from assign" -l baseline -d 'new or known since the baseline in force' -r
complete -c assay-collector -n "__fish_assay_collector_using_subcommand finding; and __fish_seen_subcommand_from assign" -l search -d 'Words that rule, subject, message or name of the host hold' -r
complete -c assay-collector -n "__fish_assay_collector_using_subcommand finding; and __fish_seen_subcommand_from assign" -l host -d 'Hosts of a standing order; * stands for any run of characters' -r
complete -c assay-collector -n "__fish_assay_collector_using_subcommand finding; and __fish_seen_subcommand_from assign" -l to -d 'Who deals with them' -r
complete -c assay-collector -n "__fish_assay_collector_using_subcommand finding; and __fish_seen_subcommand_from assign" -l due -d 'They are to be mended by this day' -r
complete -c assay-collector -n "__fish_assay_collector_using_subcommand finding; and __fish_seen_subcommand_from assign" -l due-days -d 'Or within so many days after they began' -r
complete -c assay-collector -n "__fish_assay_collector_using_subcommand finding; and __fish_seen_subcommand_from assign" -l note -d 'Anything else' -r
complete -c assay-collector -n "__fish_assay_collector_using_subcommand finding; and __fish_seen_subcommand_from assign" -l data -d 'Data folder of the collector' -r -F
complete -c assay-collector -n "__fish_assay_collector_using_subcommand finding; and __fish_seen_subcommand_from assign" -l overdue -d 'Past their day'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand finding; and __fish_seen_subcommand_from assign" -l standing -d 'A standing order: findings of --rule and --severity to come, too; without --rule of every rule'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand finding; and __fish_seen_subcommand_from assign" -s h -l help -d 'Print help'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand finding; and __fish_seen_subcommand_from baseline" -l note -d 'Why, and what is done about what is in it' -r
complete -c assay-collector -n "__fish_assay_collector_using_subcommand finding; and __fish_seen_subcommand_from baseline" -l data -d 'Data folder of the collector' -r -F
complete -c assay-collector -n "__fish_assay_collector_using_subcommand finding; and __fish_seen_subcommand_from baseline" -s h -l help -d 'Print help'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand finding; and __fish_seen_subcommand_from help" -f -a "list" -d 'List open findings, by root cause or one by one'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand finding; and __fish_seen_subcommand_from help" -f -a "assign" -d 'Say who deals with open findings, and until when'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand finding; and __fish_seen_subcommand_from help" -f -a "baseline" -d 'Take a baseline: what is open now is known, what changes after it is news'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand finding; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand waiver; and not __fish_seen_subcommand_from request approve refuse revoke list help" -s h -l help -d 'Print help'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand waiver; and not __fish_seen_subcommand_from request approve refuse revoke list help" -f -a "request" -d 'Ask for a waiver; it covers nothing until somebody else approves it'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand waiver; and not __fish_seen_subcommand_from request approve refuse revoke list help" -f -a "approve" -d 'Approve a waiver that somebody else asked for: it covers from now on'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand waiver; and not __fish_seen_subcommand_from request approve refuse revoke list help" -f -a "refuse" -d 'Refuse a waiver'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand waiver; and not __fish_seen_subcommand_from request approve refuse revoke list help" -f -a "revoke" -d 'Take a waiver back: its failures are open again'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand waiver; and not __fish_seen_subcommand_from request approve refuse revoke list help" -f -a "list" -d 'List waivers and where they stand'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand waiver; and not __fish_seen_subcommand_from request approve refuse revoke list help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand waiver; and __fish_seen_subcommand_from request" -l rule -d 'Id of the rule' -r
complete -c assay-collector -n "__fish_assay_collector_using_subcommand waiver; and __fish_seen_subcommand_from request" -l host -d 'Name of the host; * stands for any run of characters' -r
complete -c assay-collector -n "__fish_assay_collector_using_subcommand waiver; and __fish_seen_subcommand_from request" -l label -d 'Hosts that have this label now; who gets it later is not covered' -r
complete -c assay-collector -n "__fish_assay_collector_using_subcommand waiver; and __fish_seen_subcommand_from request" -l subject -d 'Subject of the finding, likewise; without it, findings of the host itself' -r
complete -c assay-collector -n "__fish_assay_collector_using_subcommand waiver; and __fish_seen_subcommand_from request" -l reason -d 'Why the failure is accepted' -r
complete -c assay-collector -n "__fish_assay_collector_using_subcommand waiver; and __fish_seen_subcommand_from request" -l control -d 'What holds the risk down meanwhile' -r
complete -c assay-collector -n "__fish_assay_collector_using_subcommand waiver; and __fish_seen_subcommand_from request" -l expires -d 'Last day, at most 366 days ahead' -r
complete -c assay-collector -n "__fish_assay_collector_using_subcommand waiver; and __fish_seen_subcommand_from request" -l data -d 'Data folder of the collector' -r -F
complete -c assay-collector -n "__fish_assay_collector_using_subcommand waiver; and __fish_seen_subcommand_from request" -l dry-run -d 'Ask for nothing; list the open failures that it would cover'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand waiver; and __fish_seen_subcommand_from request" -s h -l help -d 'Print help'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand waiver; and __fish_seen_subcommand_from approve" -l note -d 'Why' -r
complete -c assay-collector -n "__fish_assay_collector_using_subcommand waiver; and __fish_seen_subcommand_from approve" -l data -d 'Data folder of the collector' -r -F
complete -c assay-collector -n "__fish_assay_collector_using_subcommand waiver; and __fish_seen_subcommand_from approve" -s h -l help -d 'Print help'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand waiver; and __fish_seen_subcommand_from refuse" -l note -d 'Why' -r
complete -c assay-collector -n "__fish_assay_collector_using_subcommand waiver; and __fish_seen_subcommand_from refuse" -l data -d 'Data folder of the collector' -r -F
complete -c assay-collector -n "__fish_assay_collector_using_subcommand waiver; and __fish_seen_subcommand_from refuse" -s h -l help -d 'Print help'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand waiver; and __fish_seen_subcommand_from revoke" -l note -d 'Why' -r
complete -c assay-collector -n "__fish_assay_collector_using_subcommand waiver; and __fish_seen_subcommand_from revoke" -l data -d 'Data folder of the collector' -r -F
complete -c assay-collector -n "__fish_assay_collector_using_subcommand waiver; and __fish_seen_subcommand_from revoke" -s h -l help -d 'Print help'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand waiver; and __fish_seen_subcommand_from list" -l as-of -d 'As of the end of a day, or a time' -r
complete -c assay-collector -n "__fish_assay_collector_using_subcommand waiver; and __fish_seen_subcommand_from list" -l format -d 'How to print' -r -f -a "table\t'For people'
json\t'For programs'"
complete -c assay-collector -n "__fish_assay_collector_using_subcommand waiver; and __fish_seen_subcommand_from list" -l data -d 'Data folder of the collector' -r -F
complete -c assay-collector -n "__fish_assay_collector_using_subcommand waiver; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand waiver; and __fish_seen_subcommand_from help" -f -a "request" -d 'Ask for a waiver; it covers nothing until somebody else approves it'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand waiver; and __fish_seen_subcommand_from help" -f -a "approve" -d 'Approve a waiver that somebody else asked for: it covers from now on'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand waiver; and __fish_seen_subcommand_from help" -f -a "refuse" -d 'Refuse a waiver'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand waiver; and __fish_seen_subcommand_from help" -f -a "revoke" -d 'Take a waiver back: its failures are open again'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand waiver; and __fish_seen_subcommand_from help" -f -a "list" -d 'List waivers and where they stand'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand waiver; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand evidence; and not __fish_seen_subcommand_from export key help" -s h -l help -d 'Print help'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand evidence; and not __fish_seen_subcommand_from export key help" -f -a "export" -d 'Export an evidence bundle of a framework over a period'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand evidence; and not __fish_seen_subcommand_from export key help" -f -a "key" -d 'Print the ledger\'s verifier key: what auditors pass to `assay evidence verify --key`'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand evidence; and not __fish_seen_subcommand_from export key help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand evidence; and __fish_seen_subcommand_from export" -l framework -d 'Framework: its id, or its id without the version; or a page of commitments by its id, the company\'s own included' -r
complete -c assay-collector -n "__fish_assay_collector_using_subcommand evidence; and __fish_seen_subcommand_from export" -l from -d 'First day, YYYY-MM-DD, UTC' -r
complete -c assay-collector -n "__fish_assay_collector_using_subcommand evidence; and __fish_seen_subcommand_from export" -l to -d 'Last day, YYYY-MM-DD, UTC' -r
complete -c assay-collector -n "__fish_assay_collector_using_subcommand evidence; and __fish_seen_subcommand_from export" -l date -d 'One day instead of a period' -r
complete -c assay-collector -n "__fish_assay_collector_using_subcommand evidence; and __fish_seen_subcommand_from export" -l host -d 'Hosts of this name only; * stands for any characters; may be repeated' -r
complete -c assay-collector -n "__fish_assay_collector_using_subcommand evidence; and __fish_seen_subcommand_from export" -l seed -d 'The auditor\'s seed: draws samples that the auditor can draw again' -r
complete -c assay-collector -n "__fish_assay_collector_using_subcommand evidence; and __fish_seen_subcommand_from export" -l sample -d 'Samples per control and kind [default: 25]' -r
complete -c assay-collector -n "__fish_assay_collector_using_subcommand evidence; and __fish_seen_subcommand_from export" -l inventory -d 'A list of hosts from elsewhere, CSV with a column name, to compare the population with' -r -F
complete -c assay-collector -n "__fish_assay_collector_using_subcommand evidence; and __fish_seen_subcommand_from export" -l data -d 'Data folder of the collector' -r -F
complete -c assay-collector -n "__fish_assay_collector_using_subcommand evidence; and __fish_seen_subcommand_from export" -l out -d 'Where to write the bundle; otherwise assay-FRAMEWORK-FROM-TO.zip here' -r -F
complete -c assay-collector -n "__fish_assay_collector_using_subcommand evidence; and __fish_seen_subcommand_from export" -l rules -d 'Folder of rules that the collector judges by, when not the built-in pack' -r -F
complete -c assay-collector -n "__fish_assay_collector_using_subcommand evidence; and __fish_seen_subcommand_from export" -l resume -d 'Go on with the interrupted export of the same file and order'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand evidence; and __fish_seen_subcommand_from export" -s h -l help -d 'Print help'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand evidence; and __fish_seen_subcommand_from key" -l data -d 'Data folder of the collector' -r -F
complete -c assay-collector -n "__fish_assay_collector_using_subcommand evidence; and __fish_seen_subcommand_from key" -s h -l help -d 'Print help'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand evidence; and __fish_seen_subcommand_from help" -f -a "export" -d 'Export an evidence bundle of a framework over a period'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand evidence; and __fish_seen_subcommand_from help" -f -a "key" -d 'Print the ledger\'s verifier key: what auditors pass to `assay evidence verify --key`'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand evidence; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand host; and not __fish_seen_subcommand_from list label retire help" -s h -l help -d 'Print help'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand host; and not __fish_seen_subcommand_from list label retire help" -f -a "list" -d 'List hosts with their state'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand host; and not __fish_seen_subcommand_from list label retire help" -f -a "label" -d 'Say who owns a host, what it is for, how much hangs on it and where it is: a new version of the list `labels`'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand host; and not __fish_seen_subcommand_from list label retire help" -f -a "retire" -d 'Take a host out of the population, from now on; its reports and verdicts stay'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand host; and not __fish_seen_subcommand_from list label retire help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand host; and __fish_seen_subcommand_from list" -l state -d 'Only hosts in this state: active, silent, retired or replaced' -r
complete -c assay-collector -n "__fish_assay_collector_using_subcommand host; and __fish_seen_subcommand_from list" -l format -d 'How to print' -r -f -a "table\t'For people'
json\t'For programs'"
complete -c assay-collector -n "__fish_assay_collector_using_subcommand host; and __fish_seen_subcommand_from list" -l data -d 'Data folder of the collector' -r -F
complete -c assay-collector -n "__fish_assay_collector_using_subcommand host; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand host; and __fish_seen_subcommand_from label" -l owner -d 'Who answers for it' -r
complete -c assay-collector -n "__fish_assay_collector_using_subcommand host; and __fish_seen_subcommand_from label" -l purpose -d 'What it is for' -r
complete -c assay-collector -n "__fish_assay_collector_using_subcommand host; and __fish_seen_subcommand_from label" -l criticality -d 'How much hangs on it: critical, high, medium or low' -r
complete -c assay-collector -n "__fish_assay_collector_using_subcommand host; and __fish_seen_subcommand_from label" -l region -d 'Region, zone or site' -r
complete -c assay-collector -n "__fish_assay_collector_using_subcommand host; and __fish_seen_subcommand_from label" -l label -d 'A word of your own; may be given several times' -r
complete -c assay-collector -n "__fish_assay_collector_using_subcommand host; and __fish_seen_subcommand_from label" -l data -d 'Data folder of the collector' -r -F
complete -c assay-collector -n "__fish_assay_collector_using_subcommand host; and __fish_seen_subcommand_from label" -s h -l help -d 'Print help'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand host; and __fish_seen_subcommand_from retire" -l why -d 'Why; kept as evidence' -r
complete -c assay-collector -n "__fish_assay_collector_using_subcommand host; and __fish_seen_subcommand_from retire" -l replaced-by -d 'The enrolled host that takes its place: the population counts the two once' -r
complete -c assay-collector -n "__fish_assay_collector_using_subcommand host; and __fish_seen_subcommand_from retire" -l data -d 'Data folder of the collector' -r -F
complete -c assay-collector -n "__fish_assay_collector_using_subcommand host; and __fish_seen_subcommand_from retire" -s h -l help -d 'Print help'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand host; and __fish_seen_subcommand_from help" -f -a "list" -d 'List hosts with their state'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand host; and __fish_seen_subcommand_from help" -f -a "label" -d 'Say who owns a host, what it is for, how much hangs on it and where it is: a new version of the list `labels`'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand host; and __fish_seen_subcommand_from help" -f -a "retire" -d 'Take a host out of the population, from now on; its reports and verdicts stay'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand host; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand ledger; and not __fish_seen_subcommand_from status rotate rotations resume help" -s h -l help -d 'Print help'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand ledger; and not __fish_seen_subcommand_from status rotate rotations resume help" -f -a "status" -d 'Print the ledger\'s size, root, key, and whether it was ever resumed'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand ledger; and not __fish_seen_subcommand_from status rotate rotations resume help" -f -a "rotate" -d 'Give the ledger a new key, signed by the old one; agents and auditors follow from the old to the new'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand ledger; and not __fish_seen_subcommand_from status rotate rotations resume help" -f -a "rotations" -d 'Print how the ledger came to its key, for auditors who hold an earlier one'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand ledger; and not __fish_seen_subcommand_from status rotate rotations resume help" -f -a "resume" -d 'Go on from a restored database that lacks entries which were published'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand ledger; and not __fish_seen_subcommand_from status rotate rotations resume help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand ledger; and __fish_seen_subcommand_from status" -l data -d 'Data folder of the collector' -r -F
complete -c assay-collector -n "__fish_assay_collector_using_subcommand ledger; and __fish_seen_subcommand_from status" -s h -l help -d 'Print help'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand ledger; and __fish_seen_subcommand_from rotate" -l data -d 'Data folder of the collector, which must be stopped' -r -F
complete -c assay-collector -n "__fish_assay_collector_using_subcommand ledger; and __fish_seen_subcommand_from rotate" -s h -l help -d 'Print help'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand ledger; and __fish_seen_subcommand_from rotations" -l data -d 'Data folder of the collector' -r -F
complete -c assay-collector -n "__fish_assay_collector_using_subcommand ledger; and __fish_seen_subcommand_from rotations" -s h -l help -d 'Print help'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand ledger; and __fish_seen_subcommand_from resume" -l data -d 'Data folder of the collector, which must be stopped' -r -F
complete -c assay-collector -n "__fish_assay_collector_using_subcommand ledger; and __fish_seen_subcommand_from resume" -s h -l help -d 'Print help'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand ledger; and __fish_seen_subcommand_from help" -f -a "status" -d 'Print the ledger\'s size, root, key, and whether it was ever resumed'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand ledger; and __fish_seen_subcommand_from help" -f -a "rotate" -d 'Give the ledger a new key, signed by the old one; agents and auditors follow from the old to the new'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand ledger; and __fish_seen_subcommand_from help" -f -a "rotations" -d 'Print how the ledger came to its key, for auditors who hold an earlier one'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand ledger; and __fish_seen_subcommand_from help" -f -a "resume" -d 'Go on from a restored database that lacks entries which were published'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand ledger; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand erase; and not __fish_seen_subcommand_from host person help" -s h -l help -d 'Print help'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand erase; and not __fish_seen_subcommand_from host person help" -f -a "host" -d 'Erase what is kept of a retired host; its reports\' digests and the ledger stay, so that every proof holds'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand erase; and not __fish_seen_subcommand_from host person help" -f -a "person" -d 'Erase a person\'s login name or mail address from the facts and verdicts of every host, and from the records'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand erase; and not __fish_seen_subcommand_from host person help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand erase; and __fish_seen_subcommand_from host" -l why -d 'Why; kept as evidence, so name no person' -r
complete -c assay-collector -n "__fish_assay_collector_using_subcommand erase; and __fish_seen_subcommand_from host" -l data -d 'Data folder of the collector' -r -F
complete -c assay-collector -n "__fish_assay_collector_using_subcommand erase; and __fish_seen_subcommand_from host" -s h -l help -d 'Print help'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand erase; and __fish_seen_subcommand_from person" -l why -d 'Why; kept as evidence, so name no person' -r
complete -c assay-collector -n "__fish_assay_collector_using_subcommand erase; and __fish_seen_subcommand_from person" -l data -d 'Data folder of the collector' -r -F
complete -c assay-collector -n "__fish_assay_collector_using_subcommand erase; and __fish_seen_subcommand_from person" -s h -l help -d 'Print help'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand erase; and __fish_seen_subcommand_from help" -f -a "host" -d 'Erase what is kept of a retired host; its reports\' digests and the ledger stay, so that every proof holds'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand erase; and __fish_seen_subcommand_from help" -f -a "person" -d 'Erase a person\'s login name or mail address from the facts and verdicts of every host, and from the records'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand erase; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand backup" -l out -d 'Where to write it; must not exist' -r -F
complete -c assay-collector -n "__fish_assay_collector_using_subcommand backup" -l data -d 'Data folder of the collector' -r -F
complete -c assay-collector -n "__fish_assay_collector_using_subcommand backup" -s h -l help -d 'Print help'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand restore" -l data -d 'Data folder with the collector\'s keys and no database yet' -r -F
complete -c assay-collector -n "__fish_assay_collector_using_subcommand restore" -s h -l help -d 'Print help'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand migrate" -l to -d 'Where to: the address of an empty PostgreSQL database, or `sqlite` for the data folder' -r
complete -c assay-collector -n "__fish_assay_collector_using_subcommand migrate" -l data -d 'Data folder of the collector, which must be stopped' -r -F
complete -c assay-collector -n "__fish_assay_collector_using_subcommand migrate" -s h -l help -d 'Print help'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand fsck" -l format -d 'How to print' -r -f -a "table\t'For people'
json\t'For programs'"
complete -c assay-collector -n "__fish_assay_collector_using_subcommand fsck" -l data -d 'Data folder of the collector' -r -F
complete -c assay-collector -n "__fish_assay_collector_using_subcommand fsck" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand help; and not __fish_seen_subcommand_from serve demo token user setting alert trail list commitments record finding waiver evidence host ledger erase backup restore migrate fsck help" -f -a "serve" -d 'Serve agents and people'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand help; and not __fish_seen_subcommand_from serve demo token user setting alert trail list commitments record finding waiver evidence host ledger erase backup restore migrate fsck help" -f -a "demo" -d 'Try everything on this machine: a collector, this machine enrolled and scanned, the pages'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand help; and not __fish_seen_subcommand_from serve demo token user setting alert trail list commitments record finding waiver evidence host ledger erase backup restore migrate fsck help" -f -a "token" -d 'Make tokens: for hosts that enrol, for programs that use the API'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand help; and not __fish_seen_subcommand_from serve demo token user setting alert trail list commitments record finding waiver evidence host ledger erase backup restore migrate fsck help" -f -a "user" -d 'Say who may sign in and what they may do'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand help; and not __fish_seen_subcommand_from serve demo token user setting alert trail list commitments record finding waiver evidence host ledger erase backup restore migrate fsck help" -f -a "setting" -d 'Settings that change while the collector works, such as the company\'s name'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand help; and not __fish_seen_subcommand_from serve demo token user setting alert trail list commitments record finding waiver evidence host ledger erase backup restore migrate fsck help" -f -a "alert" -d 'Where alerts go, and what could not be delivered'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand help; and not __fish_seen_subcommand_from serve demo token user setting alert trail list commitments record finding waiver evidence host ledger erase backup restore migrate fsck help" -f -a "trail" -d 'Who did what and when: ledger entries and logged acts'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand help; and not __fish_seen_subcommand_from serve demo token user setting alert trail list commitments record finding waiver evidence host ledger erase backup restore migrate fsck help" -f -a "list" -d 'Give lists to judge by, such as the roster, and look at their versions'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand help; and not __fish_seen_subcommand_from serve demo token user setting alert trail list commitments record finding waiver evidence host ledger erase backup restore migrate fsck help" -f -a "commitments" -d 'The company\'s own sentences: whether each is true, since when, where not; and a status page for the public'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand help; and not __fish_seen_subcommand_from serve demo token user setting alert trail list commitments record finding waiver evidence host ledger erase backup restore migrate fsck help" -f -a "record" -d 'Record what people must say: incidents, sub-processors, trainings, reviews and the like'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand help; and not __fish_seen_subcommand_from serve demo token user setting alert trail list commitments record finding waiver evidence host ledger erase backup restore migrate fsck help" -f -a "finding" -d 'Open findings of the fleet: list them, say who deals with them, take a baseline'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand help; and not __fish_seen_subcommand_from serve demo token user setting alert trail list commitments record finding waiver evidence host ledger erase backup restore migrate fsck help" -f -a "waiver" -d 'Accept a failure for a time: asked for by one person, approved by another'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand help; and not __fish_seen_subcommand_from serve demo token user setting alert trail list commitments record finding waiver evidence host ledger erase backup restore migrate fsck help" -f -a "evidence" -d 'Export SOC 2 evidence'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand help; and not __fish_seen_subcommand_from serve demo token user setting alert trail list commitments record finding waiver evidence host ledger erase backup restore migrate fsck help" -f -a "host" -d 'List hosts, and take them out of the population'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand help; and not __fish_seen_subcommand_from serve demo token user setting alert trail list commitments record finding waiver evidence host ledger erase backup restore migrate fsck help" -f -a "ledger" -d 'Look at the ledger, or go on from a restored database'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand help; and not __fish_seen_subcommand_from serve demo token user setting alert trail list commitments record finding waiver evidence host ledger erase backup restore migrate fsck help" -f -a "erase" -d 'Erase what is kept of a host or a person, without breaking a proof'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand help; and not __fish_seen_subcommand_from serve demo token user setting alert trail list commitments record finding waiver evidence host ledger erase backup restore migrate fsck help" -f -a "backup" -d 'Write the whole store into one file, while the collector works'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand help; and not __fish_seen_subcommand_from serve demo token user setting alert trail list commitments record finding waiver evidence host ledger erase backup restore migrate fsck help" -f -a "restore" -d 'Fill an empty store from a backup'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand help; and not __fish_seen_subcommand_from serve demo token user setting alert trail list commitments record finding waiver evidence host ledger erase backup restore migrate fsck help" -f -a "migrate" -d 'Move the store to another database'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand help; and not __fish_seen_subcommand_from serve demo token user setting alert trail list commitments record finding waiver evidence host ledger erase backup restore migrate fsck help" -f -a "fsck" -d 'Read everything again and name every difference'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand help; and not __fish_seen_subcommand_from serve demo token user setting alert trail list commitments record finding waiver evidence host ledger erase backup restore migrate fsck help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand help; and __fish_seen_subcommand_from token" -f -a "create" -d 'Make a token that enrols hosts, and print it; only its digest is kept'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand help; and __fish_seen_subcommand_from token" -f -a "api" -d 'Make a token with which a program uses the API for a user, and print it; only its digest is kept'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand help; and __fish_seen_subcommand_from token" -f -a "list" -d 'List tokens of the API: whose, what they open, when they were used last'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand help; and __fish_seen_subcommand_from token" -f -a "revoke" -d 'Revoke a token of the API; a running collector knows at once'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand help; and __fish_seen_subcommand_from user" -f -a "add" -d 'Add a person who may sign in, or give one of this name a new role and password'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand help; and __fish_seen_subcommand_from user" -f -a "change" -d 'Give a person another role, from the next request on'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand help; and __fish_seen_subcommand_from user" -f -a "grant" -d 'Set or take away the bounds within which an auditor looks'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand help; and __fish_seen_subcommand_from user" -f -a "reset-second-factor" -d 'Take the second factor of a person away, who lost the authenticator'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand help; and __fish_seen_subcommand_from user" -f -a "remove" -d 'Let a person sign in no longer, and end the sessions'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand help; and __fish_seen_subcommand_from user" -f -a "list" -d 'List who may sign in and who might once, with the id by which the ledger knows them'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand help; and __fish_seen_subcommand_from setting" -f -a "list" -d 'List settings and what they are'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand help; and __fish_seen_subcommand_from setting" -f -a "set" -d 'Change one; the ledger keeps who did it'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand help; and __fish_seen_subcommand_from alert" -f -a "add" -d 'Add a target'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand help; and __fish_seen_subcommand_from alert" -f -a "list" -d 'List targets, and messages that wait or were given up'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand help; and __fish_seen_subcommand_from alert" -f -a "test" -d 'Send a test: a running collector delivers it within seconds'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand help; and __fish_seen_subcommand_from alert" -f -a "remove" -d 'Remove a target with its messages'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand help; and __fish_seen_subcommand_from alert" -f -a "retry" -d 'Try a message again that was given up'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand help; and __fish_seen_subcommand_from list" -f -a "put" -d 'Put a new version of a list into force; a running collector judges by it within seconds'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand help; and __fish_seen_subcommand_from list" -f -a "show" -d 'Print a version of a list as it was given'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand help; and __fish_seen_subcommand_from list" -f -a "history" -d 'List the versions of a list: since when, until when, rows, by whom, digest'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand help; and __fish_seen_subcommand_from commitments" -f -a "check" -d 'Check pages without putting them into force: what they name must be there'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand help; and __fish_seen_subcommand_from commitments" -f -a "status" -d 'Tell of each sentence whether it is true, since when, and on which hosts not'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand help; and __fish_seen_subcommand_from commitments" -f -a "publish" -d 'Write a status page for the public: what the page publishes, and no more'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand help; and __fish_seen_subcommand_from record" -f -a "types" -d 'List what can be recorded, or tell the fields of one type'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand help; and __fish_seen_subcommand_from record" -f -a "add" -d 'Record a new entry'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand help; and __fish_seen_subcommand_from record" -f -a "change" -d 'Give fields of an entry other values; what they were stays in its history'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand help; and __fish_seen_subcommand_from record" -f -a "close" -d 'Say that the matter is done; the entry stays'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand help; and __fish_seen_subcommand_from record" -f -a "withdraw" -d 'Say that an entry was a mistake: it counts no longer and stays visible'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand help; and __fish_seen_subcommand_from record" -f -a "sign-off" -d 'Sign that a register is complete as it is, also when it is empty'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand help; and __fish_seen_subcommand_from record" -f -a "list" -d 'List the entries of a type and how they stand'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand help; and __fish_seen_subcommand_from record" -f -a "show" -d 'Show an entry with each of its events'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand help; and __fish_seen_subcommand_from record" -f -a "due" -d 'List what is overdue, missing or wrong, and what will be'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand help; and __fish_seen_subcommand_from record" -f -a "file" -d 'Write a file of an entry to disk'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand help; and __fish_seen_subcommand_from record" -f -a "export" -d 'Print what is published from a register'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand help; and __fish_seen_subcommand_from record" -f -a "notification" -d 'Print the notification of an incident, ready to be sent'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand help; and __fish_seen_subcommand_from record" -f -a "review" -d 'Review who can act with more than ordinary rights'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand help; and __fish_seen_subcommand_from finding" -f -a "list" -d 'List open findings, by root cause or one by one'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand help; and __fish_seen_subcommand_from finding" -f -a "assign" -d 'Say who deals with open findings, and until when'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand help; and __fish_seen_subcommand_from finding" -f -a "baseline" -d 'Take a baseline: what is open now is known, what changes after it is news'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand help; and __fish_seen_subcommand_from waiver" -f -a "request" -d 'Ask for a waiver; it covers nothing until somebody else approves it'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand help; and __fish_seen_subcommand_from waiver" -f -a "approve" -d 'Approve a waiver that somebody else asked for: it covers from now on'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand help; and __fish_seen_subcommand_from waiver" -f -a "refuse" -d 'Refuse a waiver'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand help; and __fish_seen_subcommand_from waiver" -f -a "revoke" -d 'Take a waiver back: its failures are open again'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand help; and __fish_seen_subcommand_from waiver" -f -a "list" -d 'List waivers and where they stand'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand help; and __fish_seen_subcommand_from evidence" -f -a "export" -d 'Export an evidence bundle of a framework over a period'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand help; and __fish_seen_subcommand_from evidence" -f -a "key" -d 'Print the ledger\'s verifier key: what auditors pass to `assay evidence verify --key`'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand help; and __fish_seen_subcommand_from host" -f -a "list" -d 'List hosts with their state'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand help; and __fish_seen_subcommand_from host" -f -a "label" -d 'Say who owns a host, what it is for, how much hangs on it and where it is: a new version of the list `labels`'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand help; and __fish_seen_subcommand_from host" -f -a "retire" -d 'Take a host out of the population, from now on; its reports and verdicts stay'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand help; and __fish_seen_subcommand_from ledger" -f -a "status" -d 'Print the ledger\'s size, root, key, and whether it was ever resumed'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand help; and __fish_seen_subcommand_from ledger" -f -a "rotate" -d 'Give the ledger a new key, signed by the old one; agents and auditors follow from the old to the new'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand help; and __fish_seen_subcommand_from ledger" -f -a "rotations" -d 'Print how the ledger came to its key, for auditors who hold an earlier one'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand help; and __fish_seen_subcommand_from ledger" -f -a "resume" -d 'Go on from a restored database that lacks entries which were published'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand help; and __fish_seen_subcommand_from erase" -f -a "host" -d 'Erase what is kept of a retired host; its reports\' digests and the ledger stay, so that every proof holds'
complete -c assay-collector -n "__fish_assay_collector_using_subcommand help; and __fish_seen_subcommand_from erase" -f -a "person" -d 'Erase a person\'s login name or mail address from the facts and verdicts of every host, and from the records'
