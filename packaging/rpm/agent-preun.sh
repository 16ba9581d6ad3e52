# $1: 0 removal, 1 upgrade
if [ "$1" -eq 0 ]; then
    systemctl --no-reload disable assay-agent.service assay-token.path >/dev/null 2>&1 || :
    if [ -d /run/systemd/system ]; then
        systemctl stop assay-token.path assay-enroll.timer assay-enroll.service assay-agent.service assay-gatherer.service || :
    fi
fi
