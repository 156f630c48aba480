"""The worker as a child process, asking all the time whether the device is there: `python -m tests.protocols.iec61850.hasty_worker`."""

from protocols.iec61850 import worker

if __name__ == "__main__":
    worker.PROBE_S = worker.TICK_S = 0.001
    worker.main()
