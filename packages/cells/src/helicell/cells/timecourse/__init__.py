"""Time courses of populations: read, bridged by transport, and followed by a learned flow.

`courses` reads them, `bridges` goes from one population to the next without training, `clock` says how far a course has
come at a time between two visits, `TimeCourseFlow` learns velocities and growth, `visits` holds visits out to test it,
`training` does both into a run folder; `predicting` and `annotate` write what it says into AnnData.
"""

from helicell.cells.timecourse.annotate import annotated, embedded_velocity, followed
from helicell.cells.timecourse.bridges import between
from helicell.cells.timecourse.clock import SharedClock
from helicell.cells.timecourse.courses import Course, Courses, TimeColumns, read_courses
from helicell.cells.timecourse.flow import TimeCourseFlow, Trajectories
from helicell.cells.timecourse.settings import TimeFlowSettings

__all__ = [
    "Course",
    "Courses",
    "SharedClock",
    "TimeColumns",
    "TimeCourseFlow",
    "TimeFlowSettings",
    "Trajectories",
    "annotated",
    "between",
    "embedded_velocity",
    "followed",
    "read_courses",
]
