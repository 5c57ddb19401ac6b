"""A real browser without a window, driven through a pair of pipes."""

import itertools
import json
import os
import select
import shutil
import subprocess

import pytest

# Seconds without a word after which a browser counts as stuck.
PATIENCE = 60
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def program():
    """Return the path of a browser, or skip the test and say so."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip("no chromium here; this test opens the page in a real browser")
    return found


class Browser:
    """One page in a browser that keeps its storage in a folder."""

    def __init__(self, profile, downloads):
        # The browser reads commands from descriptor 3 and writes answers to 4.
        read_end, self.to = os.pipe()
        self.answers, write_end = os.pipe()
        flags = [
            *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"),
            *("--remote-debugging-pipe", "--host-resolver-rules=MAP * ~NOTFOUND"),
            f"--user-data-dir={profile}",
        ]
        shell = f'exec "$0" "$@" 3<&{read_end} 4>&{write_end}'
        self.process = subprocess.Popen(
            ["bash", "-c", shell, program(), *flags],
            pass_fds=(read_end, write_end),
            stderr=subprocess.DEVNULL,
        )
        os.close(read_end)
        os.close(write_end)
        self.numbers, self.rest, self.session = itertools.count(1), b"", None
        # What came while the answer to a command was waited for.
        self.events = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self.session = attached["sessionId"]
        self.call("Page.enable")
        self.call(
            "Browser.setDownloadBehavior",
            behavior="allow",
            downloadPath=str(downloads),
            eventsEnabled=True,
        )

    def call(self, method, **params):
        """Send a command and return its result."""
        number = next(self.numbers)
        message = {"id": number, "method": method, "params": params}
        if self.session and not method.startswith(("Target.", "Browser.")):
            message["sessionId"] = self.session
        os.write(self.to, json.dumps(message).encode() + b"\0")
        while True:
            answer = self.read()
            if answer.get("id") == number:
                assert "error" not in answer, answer
                return answer["result"]
            self.events.append(answer)

    def read(self):
        """Return the next answer or event."""
        while b"\0" not in self.rest:
            ready, _, _ = select.select([self.answers], [], [], PATIENCE)
            assert ready, f"the browser has said nothing for {PATIENCE} s"
            chunk = os.read(self.answers, 1 << 16)
            assert chunk, "the browser has ended"
            self.rest += chunk
        line, _, self.rest = self.rest.partition(b"\0")
        return json.loads(line)

    def wait(self, event):
        """Wait for an event, and return its parameters; it may have come already."""
        while True:
            answer = self.events.pop(0) if self.events else self.read()
            if answer.get("method") == event:
                return answer["params"]

    def open(self, path):
        """Open a file and wait until it is loaded."""
        self.call("Page.navigate", url=path.as_uri())
        for _ in range(200):
            if self.run("document.readyState") == "complete":
                return
        raise AssertionError("the page did not load")

    def run(self, code):
        """Return the value of an expression; the policy of the page does not apply."""
        answer = self.call(
            "Runtime.evaluate", expression=code, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def press(self, *keys):
        """Press keys, as a person does."""
        for key in keys:
            event = {"key": key}
            if len(key) == 1:
                event["text"] = key
            elif key == "Enter":
                event |= {"text": "\r", "windowsVirtualKeyCode": 13}
            elif key == "Tab":
                event |= {"windowsVirtualKeyCode": 9, "code": "Tab"}
            self.call("Input.dispatchKeyEvent", type="keyDown", **event)
            self.call("Input.dispatchKeyEvent", type="keyUp", key=key)

    def download(self, button):
        """Click on a button by its id, and wait for the file that it saves."""
        self.events.clear()
        self.run(f"document.getElementById('{button}').click()")
        while self.wait("Browser.downloadProgress")["state"] != "completed":
            pass

    def close(self):
        """End the browser, so that it writes its storage."""
        if self.process.poll() is None:
            self.call("Browser.close")
            self.process.wait(timeout=30)
        os.close(self.to)
        os.close(self.answers)
