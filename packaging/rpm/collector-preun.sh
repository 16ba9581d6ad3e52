# $1: 0 removal, 1 upgrade
if [ "$1" -eq 0 ]; then
    systemctl --no-reload disable assay-collector.service >/dev/null 2>&1 || :
    if [ -d /run/systemd/system ]; then
        systemctl stop assay-collector.service || :
    fi
fi
