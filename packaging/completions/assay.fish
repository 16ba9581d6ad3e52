# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_assay_global_optspecs
    string join \n h/help V/version
end

function __fish_assay_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_assay_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_assay_using_subcommand
    set -l cmd (__fish_assay_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c assay -n "__fish_assay_needs_command" -s h -l help -d 'Print help'
complete -c assay -n "__fish_assay_needs_command" -s V -l version -d 'Print version'
complete -c assay -n "__fish_assay_needs_command" -f -a "scan" -d 'Scan this machine, a mounted root or named endpoints, and show the findings'
complete -c assay -n "__fish_assay_needs_command" -f -a "explain" -d 'Explain a rule, and why it fails on a subject here'
complete -c assay -n "__fish_assay_needs_command" -f -a "rules" -d 'List, show, test and check rules'
complete -c assay -n "__fish_assay_needs_command" -f -a "advisories" -d 'Import published advisories, and match them with installed packages'
complete -c assay -n "__fish_assay_needs_command" -f -a "enroll" -d 'Enrol this machine at a collector'
complete -c assay -n "__fish_assay_needs_command" -f -a "agent" -d 'Run the agent: scans on schedule, spools and uploads reports'
complete -c assay -n "__fish_assay_needs_command" -f -a "gatherer" -d 'Run the privileged half of the agent: reads the machine, touches no network'
complete -c assay -n "__fish_assay_needs_command" -f -a "doctor" -d 'Tell what this host lacks to be observed and to report, each gap with its cure'
complete -c assay -n "__fish_assay_needs_command" -f -a "evidence" -d 'Verify an evidence bundle offline'
complete -c assay -n "__fish_assay_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c assay -n "__fish_assay_using_subcommand scan; and not __fish_seen_subcommand_from tls ports help" -l root -d 'Read a mounted root instead of this machine; nothing running is looked at' -r -F
complete -c assay -n "__fish_assay_using_subcommand scan; and not __fish_seen_subcommand_from tls ports help" -l target -d 'Speak to this endpoint too (/udp behind it for UDP); may be repeated' -r
complete -c assay -n "__fish_assay_using_subcommand scan; and not __fish_seen_subcommand_from tls ports help" -l trust -d 'Judge certificates by these trust anchors: system, mozilla, or a file or folder of certificates' -r
complete -c assay -n "__fish_assay_using_subcommand scan; and not __fish_seen_subcommand_from tls ports help" -l roster -d 'Who works here and who left (CSV or JSON): judge what leavers can still do' -r -F
complete -c assay -n "__fish_assay_using_subcommand scan; and not __fish_seen_subcommand_from tls ports help" -l approvals -d 'Who may have which privileged access (CSV or JSON): differences in either direction are findings' -r -F
complete -c assay -n "__fish_assay_using_subcommand scan; and not __fish_seen_subcommand_from tls ports help" -l third-parties -d 'To whom this machine may send (CSV or JSON): public peers that nobody declared are findings' -r -F
complete -c assay -n "__fish_assay_using_subcommand scan; and not __fish_seen_subcommand_from tls ports help" -l advisories -d 'Index of published advisories (assay advisories import): which holes the installed packages still have' -r -F
complete -c assay -n "__fish_assay_using_subcommand scan; and not __fish_seen_subcommand_from tls ports help" -l family -d 'Only this family and the rules over it; may be repeated' -r
complete -c assay -n "__fish_assay_using_subcommand scan; and not __fish_seen_subcommand_from tls ports help" -l format -d 'What to print' -r -f -a "table\t'For people'
json\t'For programs: findings, gaps and facts'"
complete -c assay -n "__fish_assay_using_subcommand scan; and not __fish_seen_subcommand_from tls ports help" -l fail-on -d 'Exit with 10 to 14 if something of this severity or above fails: info, low, medium, high, critical' -r
complete -c assay -n "__fish_assay_using_subcommand scan; and not __fish_seen_subcommand_from tls ports help" -l policy -d 'Thresholds instead of the built-in ones' -r -F
complete -c assay -n "__fish_assay_using_subcommand scan; and not __fish_seen_subcommand_from tls ports help" -l rules -d 'Rules of this folder instead of the built-in ones' -r -F
complete -c assay -n "__fish_assay_using_subcommand scan; and not __fish_seen_subcommand_from tls ports help" -l config -d 'Targets, exclusions and bounds [default: /etc/assay/agent.yaml if there is one]' -r -F
complete -c assay -n "__fish_assay_using_subcommand scan; and not __fish_seen_subcommand_from tls ports help" -l all -d 'Show what passes and what does not apply, too'
complete -c assay -n "__fish_assay_using_subcommand scan; and not __fish_seen_subcommand_from tls ports help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c assay -n "__fish_assay_using_subcommand scan; and not __fish_seen_subcommand_from tls ports help" -f -a "tls" -d 'Everything about the TLS of named endpoints'
complete -c assay -n "__fish_assay_using_subcommand scan; and not __fish_seen_subcommand_from tls ports help" -f -a "ports" -d 'What answers on the ports of named hosts'
complete -c assay -n "__fish_assay_using_subcommand scan; and not __fish_seen_subcommand_from tls ports help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c assay -n "__fish_assay_using_subcommand scan; and __fish_seen_subcommand_from tls" -l starttls -d 'How TLS begins: none, or a protocol such as smtp [default: by the port, else found out]' -r
complete -c assay -n "__fish_assay_using_subcommand scan; and __fish_seen_subcommand_from tls" -l sni -d 'Ask for this server name; may be repeated, one survey each' -r
complete -c assay -n "__fish_assay_using_subcommand scan; and __fish_seen_subcommand_from tls" -l trust -d 'Trust anchors: system, mozilla, or a file or folder of PEM certificates' -r
complete -c assay -n "__fish_assay_using_subcommand scan; and __fish_seen_subcommand_from tls" -l connections -d 'Connections to one endpoint at a time' -r
complete -c assay -n "__fish_assay_using_subcommand scan; and __fish_seen_subcommand_from tls" -l timeout -d 'Seconds for one endpoint to show that it speaks TLS' -r
complete -c assay -n "__fish_assay_using_subcommand scan; and __fish_seen_subcommand_from tls" -l format -d 'What to print' -r -f -a "table\t'For people'
json\t'For programs: findings, gaps and facts'
jsonl\t'The same, a line for each portion of the endpoints as it is done: for many of them'"
complete -c assay -n "__fish_assay_using_subcommand scan; and __fish_seen_subcommand_from tls" -l fail-on -d 'Exit with 10 to 14 if something of this severity or above fails: info, low, medium, high, critical' -r
complete -c assay -n "__fish_assay_using_subcommand scan; and __fish_seen_subcommand_from tls" -l policy -d 'Thresholds instead of the built-in ones' -r -F
complete -c assay -n "__fish_assay_using_subcommand scan; and __fish_seen_subcommand_from tls" -l narrow -d 'Versions and certificates only: fewer than a dozen connections an endpoint'
complete -c assay -n "__fish_assay_using_subcommand scan; and __fish_seen_subcommand_from tls" -l all -d 'Show every suite by name, and everything of several endpoints'
complete -c assay -n "__fish_assay_using_subcommand scan; and __fish_seen_subcommand_from tls" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c assay -n "__fish_assay_using_subcommand scan; and __fish_seen_subcommand_from ports" -l ports -d 'TCP ports, such as 22,443,8000-8100 [default: what known protocols usually have]' -r
complete -c assay -n "__fish_assay_using_subcommand scan; and __fish_seen_subcommand_from ports" -l udp -d 'UDP ports, which are asked one by one [default: none]' -r
complete -c assay -n "__fish_assay_using_subcommand scan; and __fish_seen_subcommand_from ports" -l format -d 'What to print' -r -f -a "table\t'For people'
json\t'For programs: findings, gaps and facts'"
complete -c assay -n "__fish_assay_using_subcommand scan; and __fish_seen_subcommand_from ports" -l fail-on -d 'Exit with 10 to 14 if something of this severity or above fails: info, low, medium, high, critical' -r
complete -c assay -n "__fish_assay_using_subcommand scan; and __fish_seen_subcommand_from ports" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c assay -n "__fish_assay_using_subcommand scan; and __fish_seen_subcommand_from help" -f -a "tls" -d 'Everything about the TLS of named endpoints'
complete -c assay -n "__fish_assay_using_subcommand scan; and __fish_seen_subcommand_from help" -f -a "ports" -d 'What answers on the ports of named hosts'
complete -c assay -n "__fish_assay_using_subcommand scan; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c assay -n "__fish_assay_using_subcommand explain" -l root -d 'A mounted root instead of this machine' -r -F
complete -c assay -n "__fish_assay_using_subcommand explain" -l roster -d 'Who works here and who left, for the rules about leavers' -r -F
complete -c assay -n "__fish_assay_using_subcommand explain" -l approvals -d 'Who may have which privileged access (CSV or JSON)' -r -F
complete -c assay -n "__fish_assay_using_subcommand explain" -l third-parties -d 'To whom this machine may send (CSV or JSON): public peers that nobody declared are findings' -r -F
complete -c assay -n "__fish_assay_using_subcommand explain" -l advisories -d 'Index of published advisories, for rules over them' -r -F
complete -c assay -n "__fish_assay_using_subcommand explain" -l target -d 'Speak to this endpoint too; may be repeated' -r
complete -c assay -n "__fish_assay_using_subcommand explain" -s h -l help -d 'Print help'
complete -c assay -n "__fish_assay_using_subcommand rules; and not __fish_seen_subcommand_from list show test check pack verify install help" -s h -l help -d 'Print help'
complete -c assay -n "__fish_assay_using_subcommand rules; and not __fish_seen_subcommand_from list show test check pack verify install help" -f -a "list" -d 'List the rules'
complete -c assay -n "__fish_assay_using_subcommand rules; and not __fish_seen_subcommand_from list show test check pack verify install help" -f -a "show" -d 'Show one rule: why, fix, verify, what it reads and which controls it serves'
complete -c assay -n "__fish_assay_using_subcommand rules; and not __fish_seen_subcommand_from list show test check pack verify install help" -f -a "test" -d 'Run every example that the rules carry'
complete -c assay -n "__fish_assay_using_subcommand rules; and not __fish_seen_subcommand_from list show test check pack verify install help" -f -a "check" -d 'Check rule files: every problem with file, line and column'
complete -c assay -n "__fish_assay_using_subcommand rules; and not __fish_seen_subcommand_from list show test check pack verify install help" -f -a "pack" -d 'Make one file of a folder of rules, to be signed with minisign(1)'
complete -c assay -n "__fish_assay_using_subcommand rules; and not __fish_seen_subcommand_from list show test check pack verify install help" -f -a "verify" -d 'Verify a signed pack of rules; its signature lies beside it as FILE.minisig'
complete -c assay -n "__fish_assay_using_subcommand rules; and not __fish_seen_subcommand_from list show test check pack verify install help" -f -a "install" -d 'Install a signed pack of rules, which judges from the agent\'s next scan on'
complete -c assay -n "__fish_assay_using_subcommand rules; and not __fish_seen_subcommand_from list show test check pack verify install help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c assay -n "__fish_assay_using_subcommand rules; and __fish_seen_subcommand_from list" -l format -d 'How' -r -f -a "table\t'For people'
json\t'For programs'"
complete -c assay -n "__fish_assay_using_subcommand rules; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c assay -n "__fish_assay_using_subcommand rules; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help'
complete -c assay -n "__fish_assay_using_subcommand rules; and __fish_seen_subcommand_from test" -s h -l help -d 'Print help'
complete -c assay -n "__fish_assay_using_subcommand rules; and __fish_seen_subcommand_from check" -s h -l help -d 'Print help'
complete -c assay -n "__fish_assay_using_subcommand rules; and __fish_seen_subcommand_from pack" -l number -d 'Its number: greater is newer' -r
complete -c assay -n "__fish_assay_using_subcommand rules; and __fish_seen_subcommand_from pack" -l expires -d 'Last day on which it may be installed; later its reports say `pack-expired`' -r
complete -c assay -n "__fish_assay_using_subcommand rules; and __fish_seen_subcommand_from pack" -s o -l out -d 'The file to write' -r -F
complete -c assay -n "__fish_assay_using_subcommand rules; and __fish_seen_subcommand_from pack" -s h -l help -d 'Print help'
complete -c assay -n "__fish_assay_using_subcommand rules; and __fish_seen_subcommand_from verify" -l key -d 'Public key of its signer [default: `rules_key` of the configuration]' -r -F
complete -c assay -n "__fish_assay_using_subcommand rules; and __fish_seen_subcommand_from verify" -s h -l help -d 'Print help'
complete -c assay -n "__fish_assay_using_subcommand rules; and __fish_seen_subcommand_from install" -l config -d 'Agent configuration [default: /etc/assay/agent.yaml]' -r -F
complete -c assay -n "__fish_assay_using_subcommand rules; and __fish_seen_subcommand_from install" -s h -l help -d 'Print help'
complete -c assay -n "__fish_assay_using_subcommand rules; and __fish_seen_subcommand_from help" -f -a "list" -d 'List the rules'
complete -c assay -n "__fish_assay_using_subcommand rules; and __fish_seen_subcommand_from help" -f -a "show" -d 'Show one rule: why, fix, verify, what it reads and which controls it serves'
complete -c assay -n "__fish_assay_using_subcommand rules; and __fish_seen_subcommand_from help" -f -a "test" -d 'Run every example that the rules carry'
complete -c assay -n "__fish_assay_using_subcommand rules; and __fish_seen_subcommand_from help" -f -a "check" -d 'Check rule files: every problem with file, line and column'
complete -c assay -n "__fish_assay_using_subcommand rules; and __fish_seen_subcommand_from help" -f -a "pack" -d 'Make one file of a folder of rules, to be signed with minisign(1)'
complete -c assay -n "__fish_assay_using_subcommand rules; and __fish_seen_subcommand_from help" -f -a "verify" -d 'Verify a signed pack of rules; its signature lies beside it as FILE.minisig'
complete -c assay -n "__fish_assay_using_subcommand rules; and __fish_seen_subcommand_from help" -f -a "install" -d 'Install a signed pack of rules, which judges from the agent\'s next scan on'
complete -c assay -n "__fish_assay_using_subcommand rules; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c assay -n "__fish_assay_using_subcommand advisories; and not __fish_seen_subcommand_from import info match help" -s h -l help -d 'Print help'
complete -c assay -n "__fish_assay_using_subcommand advisories; and not __fish_seen_subcommand_from import info match help" -f -a "import" -d 'Compile OSV records (zip files, folders, JSON files) into one index'
complete -c assay -n "__fish_assay_using_subcommand advisories; and not __fish_seen_subcommand_from import info match help" -f -a "info" -d 'Show what an index holds, and check every byte of it'
complete -c assay -n "__fish_assay_using_subcommand advisories; and not __fish_seen_subcommand_from import info match help" -f -a "match" -d 'Show the advisories that concern installed packages'
complete -c assay -n "__fish_assay_using_subcommand advisories; and not __fish_seen_subcommand_from import info match help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c assay -n "__fish_assay_using_subcommand advisories; and __fish_seen_subcommand_from import" -s o -l output -d 'The index to write; replaced whole or not at all' -r -F
complete -c assay -n "__fish_assay_using_subcommand advisories; and __fish_seen_subcommand_from import" -s h -l help -d 'Print help'
complete -c assay -n "__fish_assay_using_subcommand advisories; and __fish_seen_subcommand_from info" -l format -d 'What to print' -r -f -a "table\t'For people'
json\t'For programs'"
complete -c assay -n "__fish_assay_using_subcommand advisories; and __fish_seen_subcommand_from info" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c assay -n "__fish_assay_using_subcommand advisories; and __fish_seen_subcommand_from match" -l root -d 'Read the packages of a mounted root instead of this machine' -r -F
complete -c assay -n "__fish_assay_using_subcommand advisories; and __fish_seen_subcommand_from match" -l package -d 'These packages instead of the installed ones, by the name that advisories use (source packages of Debian, Ubuntu and Alpine, binary ones elsewhere); may be repeated' -r
complete -c assay -n "__fish_assay_using_subcommand advisories; and __fish_seen_subcommand_from match" -l release -d 'Release of --package, as os-release(5) names it [default: that of the machine or root]' -r
complete -c assay -n "__fish_assay_using_subcommand advisories; and __fish_seen_subcommand_from match" -l format -d 'What to print' -r -f -a "table\t'For people'
json\t'For programs'"
complete -c assay -n "__fish_assay_using_subcommand advisories; and __fish_seen_subcommand_from match" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c assay -n "__fish_assay_using_subcommand advisories; and __fish_seen_subcommand_from help" -f -a "import" -d 'Compile OSV records (zip files, folders, JSON files) into one index'
complete -c assay -n "__fish_assay_using_subcommand advisories; and __fish_seen_subcommand_from help" -f -a "info" -d 'Show what an index holds, and check every byte of it'
complete -c assay -n "__fish_assay_using_subcommand advisories; and __fish_seen_subcommand_from help" -f -a "match" -d 'Show the advisories that concern installed packages'
complete -c assay -n "__fish_assay_using_subcommand advisories; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c assay -n "__fish_assay_using_subcommand enroll" -l collector -d 'Address of the collector\'s listener for agents, https://HOST:PORT [default: `collector` of the configuration]' -r
complete -c assay -n "__fish_assay_using_subcommand enroll" -l token -d 'Token as `assay-collector token` prints it; other users can see it in the process list' -r
complete -c assay -n "__fish_assay_using_subcommand enroll" -l token-file -d 'File with the token; `-` reads standard input' -r -F
complete -c assay -n "__fish_assay_using_subcommand enroll" -l state -d 'Folder for key, certificate, state and spool [default: `state_dir` of the configuration]' -r -F
complete -c assay -n "__fish_assay_using_subcommand enroll" -l name -d 'What the host is called at the collector [default: its host name]' -r
complete -c assay -n "__fish_assay_using_subcommand enroll" -l proxy -d 'HTTP proxy, http://HOST:PORT [default: that of the configuration]; a password belongs into the configuration, for other users can see arguments in the process list' -r
complete -c assay -n "__fish_assay_using_subcommand enroll" -l config -d 'Configuration of the agent [default: /etc/assay/agent.yaml if there is one]' -r -F
complete -c assay -n "__fish_assay_using_subcommand enroll" -l moved -d 'The machine-id was changed on purpose: bind the identity that is there to this machine'
complete -c assay -n "__fish_assay_using_subcommand enroll" -s h -l help -d 'Print help'
complete -c assay -n "__fish_assay_using_subcommand agent" -l config -d 'Configuration [default: /etc/assay/agent.yaml if there is one]' -r -F
complete -c assay -n "__fish_assay_using_subcommand agent" -l once -d 'Scan once on demand, deliver everything that waits, and end'
complete -c assay -n "__fish_assay_using_subcommand agent" -s h -l help -d 'Print help'
complete -c assay -n "__fish_assay_using_subcommand gatherer" -l config -d 'Configuration [default: /etc/assay/agent.yaml if there is one]' -r -F
complete -c assay -n "__fish_assay_using_subcommand gatherer" -s h -l help -d 'Print help'
complete -c assay -n "__fish_assay_using_subcommand doctor" -l config -d 'Configuration of the agent [default: /etc/assay/agent.yaml if there is one]' -r -F
complete -c assay -n "__fish_assay_using_subcommand doctor" -l format -d 'Output format' -r -f -a "table\t'For people'
json\t'For programs'"
complete -c assay -n "__fish_assay_using_subcommand doctor" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c assay -n "__fish_assay_using_subcommand evidence; and not __fish_seen_subcommand_from verify help" -s h -l help -d 'Print help'
complete -c assay -n "__fish_assay_using_subcommand evidence; and not __fish_seen_subcommand_from verify help" -f -a "verify" -d 'Verify an evidence bundle offline: signatures, digests, inclusion proofs, checkpoint'
complete -c assay -n "__fish_assay_using_subcommand evidence; and not __fish_seen_subcommand_from verify help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c assay -n "__fish_assay_using_subcommand evidence; and __fish_seen_subcommand_from verify" -l key -d 'The ledger\'s verifier key, or a file that holds it, from a source you trust' -r
complete -c assay -n "__fish_assay_using_subcommand evidence; and __fish_seen_subcommand_from verify" -l rotations -d 'Statements of changed ledger keys (`assay-collector ledger rotations`): they lead from the key you hold to the one that signed' -r -F
complete -c assay -n "__fish_assay_using_subcommand evidence; and __fish_seen_subcommand_from verify" -l format -d 'How to print the result' -r -f -a "table\t'For people'
json\t'For programs'"
complete -c assay -n "__fish_assay_using_subcommand evidence; and __fish_seen_subcommand_from verify" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c assay -n "__fish_assay_using_subcommand evidence; and __fish_seen_subcommand_from help" -f -a "verify" -d 'Verify an evidence bundle offline: signatures, digests, inclusion proofs, checkpoint'
complete -c assay -n "__fish_assay_using_subcommand evidence; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c assay -n "__fish_assay_using_subcommand help; and not __fish_seen_subcommand_from scan explain rules advisories enroll agent gatherer doctor evidence help" -f -a "scan" -d 'Scan this machine, a mounted root or named endpoints, and show the findings'
complete -c assay -n "__fish_assay_using_subcommand help; and not __fish_seen_subcommand_from scan explain rules advisories enroll agent gatherer doctor evidence help" -f -a "explain" -d 'Explain a rule, and why it fails on a subject here'
complete -c assay -n "__fish_assay_using_subcommand help; and not __fish_seen_subcommand_from scan explain rules advisories enroll agent gatherer doctor evidence help" -f -a "rules" -d 'List, show, test and check rules'
complete -c assay -n "__fish_assay_using_subcommand help; and not __fish_seen_subcommand_from scan explain rules advisories enroll agent gatherer doctor evidence help" -f -a "advisories" -d 'Import published advisories, and match them with installed packages'
complete -c assay -n "__fish_assay_using_subcommand help; and not __fish_seen_subcommand_from scan explain rules advisories enroll agent gatherer doctor evidence help" -f -a "enroll" -d 'Enrol this machine at a collector'
complete -c assay -n "__fish_assay_using_subcommand help; and not __fish_seen_subcommand_from scan explain rules advisories enroll agent gatherer doctor evidence help" -f -a "agent" -d 'Run the agent: scans on schedule, spools and uploads reports'
complete -c assay -n "__fish_assay_using_subcommand help; and not __fish_seen_subcommand_from scan explain rules advisories enroll agent gatherer doctor evidence help" -f -a "gatherer" -d 'Run the privileged half of the agent: reads the machine, touches no network'
complete -c assay -n "__fish_assay_using_subcommand help; and not __fish_seen_subcommand_from scan explain rules advisories enroll agent gatherer doctor evidence help" -f -a "doctor" -d 'Tell what this host lacks to be observed and to report, each gap with its cure'
complete -c assay -n "__fish_assay_using_subcommand help; and not __fish_seen_subcommand_from scan explain rules advisories enroll agent gatherer doctor evidence help" -f -a "evidence" -d 'Verify an evidence bundle offline'
complete -c assay -n "__fish_assay_using_subcommand help; and not __fish_seen_subcommand_from scan explain rules advisories enroll agent gatherer doctor evidence help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c assay -n "__fish_assay_using_subcommand help; and __fish_seen_subcommand_from scan" -f -a "tls" -d 'Everything about the TLS of named endpoints'
complete -c assay -n "__fish_assay_using_subcommand help; and __fish_seen_subcommand_from scan" -f -a "ports" -d 'What answers on the ports of named hosts'
complete -c assay -n "__fish_assay_using_subcommand help; and __fish_seen_subcommand_from rules" -f -a "list" -d 'List the rules'
complete -c assay -n "__fish_assay_using_subcommand help; and __fish_seen_subcommand_from rules" -f -a "show" -d 'Show one rule: why, fix, verify, what it reads and which controls it serves'
complete -c assay -n "__fish_assay_using_subcommand help; and __fish_seen_subcommand_from rules" -f -a "test" -d 'Run every example that the rules carry'
complete -c assay -n "__fish_assay_using_subcommand help; and __fish_seen_subcommand_from rules" -f -a "check" -d 'Check rule files: every problem with file, line and column'
complete -c assay -n "__fish_assay_using_subcommand help; and __fish_seen_subcommand_from rules" -f -a "pack" -d 'Make one file of a folder of rules, to be signed with minisign(1)'
complete -c assay -n "__fish_assay_using_subcommand help; and __fish_seen_subcommand_from rules" -f -a "verify" -d 'Verify a signed pack of rules; its signature lies beside it as FILE.minisig'
complete -c assay -n "__fish_assay_using_subcommand help; and __fish_seen_subcommand_from rules" -f -a "install" -d 'Install a signed pack of rules, which judges from the agent\'s next scan on'
complete -c assay -n "__fish_assay_using_subcommand help; and __fish_seen_subcommand_from advisories" -f -a "import" -d 'Compile OSV records (zip files, folders, JSON files) into one index'
complete -c assay -n "__fish_assay_using_subcommand help; and __fish_seen_subcommand_from advisories" -f -a "info" -d 'Show what an index holds, and check every byte of it'
complete -c assay -n "__fish_assay_using_subcommand help; and __fish_seen_subcommand_from advisories" -f -a "match" -d 'Show the advisories that concern installed packages'
complete -c assay -n "__fish_assay_using_subcommand help; and __fish_seen_subcommand_from evidence" -f -a "verify" -d 'Verify an evidence bundle offline: signatures, digests, inclusion proofs, checkpoint'
