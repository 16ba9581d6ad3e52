"""Stands on a message bus for systemd's manager and timesyncd, with the signatures that they have."""
import sys
import dbus, dbus.service
from dbus.mainloop.glib import DBusGMainLoop
from gi.repository import GLib

DBusGMainLoop(set_as_default=True)
bus = dbus.bus.BusConnection(sys.argv[1])


class Manager(dbus.service.Object):
    @dbus.service.method("org.freedesktop.systemd1.Manager", out_signature="a(ssssssouso)")
    def ListUnits(self):
        path = "/org/freedesktop/systemd1/unit/chrony_2eservice"
        self.Reloading(False)
        return [
            ("chrony.service", "chrony, an NTP client/server", "loaded", "active", "running", "", path, 0, "", "/"),
            ("rsyslog.service", "System Logging", "loaded", "failed", "failed", "", "/org/freedesktop/systemd1/unit/rsyslog_2eservice", 7, "start", "/j"),
        ]

    @dbus.service.signal("org.freedesktop.systemd1.Manager", signature="b")
    def Reloading(self, active):
        pass


class Timesync(dbus.service.Object):
    @dbus.service.method("org.freedesktop.DBus.Properties", in_signature="s", out_signature="a{sv}")
    def GetAll(self, interface):
        if interface != "org.freedesktop.timesync1.Manager":
            raise dbus.exceptions.DBusException("no such interface", name="org.freedesktop.DBus.Error.UnknownInterface")
        u, t, y = dbus.UInt32, dbus.UInt64, dbus.Byte
        reference = dbus.Array([y(1), y(2), y(3), y(4)], signature="y")
        now = int(sys.argv[2]) * 1000000
        message = dbus.Struct(
            (u(0), u(4), u(4), u(2), dbus.Int32(-24), t(1500), t(900), reference, t(now), t(now + 400), t(now + 500), t(now + 100), dbus.Boolean(False), t(17), t(33)),
            signature="uuuuittayttttbtt",
        )
        return dbus.Dictionary(
            {"ServerName": "ntp.example.org", "ServerAddress": dbus.Struct((dbus.Int32(2), dbus.Array([y(192), y(0), y(2), y(9)], signature="y")), signature="iay"),
             "PollIntervalUSec": t(64000000), "Frequency": dbus.Int64(-12345), "NTPMessage": message},
            signature="sv",
        )


manager = Manager(bus, "/org/freedesktop/systemd1")
timesync = Timesync(bus, "/org/freedesktop/timesync1")
bus.request_name("org.freedesktop.systemd1")
bus.request_name("org.freedesktop.timesync1")
print("ready", flush=True)
GLib.MainLoop().run()
