"""Schedules of several facilitators that broke a claim, each cut down to what broke it; claim C8.

Seeds of `make schedules`. Every one runs to its end: all come to one roster, nobody is accused, all
that was said is delivered.
"""

from typing import NamedTuple

import pytest

from tests.simulation.run import run
from tests.simulation.schedule import Schedule, Shape, Step


class Found(NamedTuple):
    """What broke, and by what."""

    seed: int
    shape: tuple[int, int, int, int]
    clocks: str
    steps: str

    def schedule(self) -> Schedule:
        steps = []
        for each in self.steps.split(", "):
            verb, *numbers = each.split()
            a, b, c = map(int, numbers)
            steps.append(Step(verb, (a, b, c)))
        clocks = tuple(map(int, self.clocks.split()))
        return Schedule(self.seed, Shape(*self.shape), clocks, tuple(steps))


FOUND = {
    "who facilitates by a roster that has not come is accused of nothing": Found(
        430,
        (5, 1, 1, 168),
        "-1139 288 337 -1565 -938 -1561 1158 716",
        "role 3113 44939 14004, unsent 33076 38890 62199, admit 52886 48661 17870, "
        "hours 15662 17136 65515, everybody 23003 60973 57175, sync 31144 14977 40733, "
        "relays 14773 5495 33505, everybody 15376 37765 51342",
    ),
    "who follows a rival is accused of nothing": Found(
        1033,
        (4, 2, 2, 168),
        "314 1346 -1041 -1059 -465 619 -10",
        "cut 12629 10509 18741, admit 30696 45786 54750, relays 33971 56439 53722, "
        "sync 1756 56508 21878, remove 35668 6497 12881, relays 14081 16523 54655",
    ),
    "nor who settles rivals and does not know of one": Found(
        2451,
        (4, 3, 3, 336),
        "1615 383 -1025 1435 -1063 335 -1573",
        "admit 34519 25754 36590, race 44486 6755 22167, courier 59377 35801 59426, "
        "sync 7195 28914 27332, hours 11355 14080 64382, sync 15887 17468 4191",
    ),
    "a rival whose issuer came over is named too": Found(
        1028,
        (6, 3, 3, 336),
        "-303 -1719 -1347 -1383 1162 -156 -971 -1386 -706",
        "cut 9054 22328 3246, race 44986 44860 41121, sync 43639 18630 35187, "
        "race 58753 21702 35871, everybody 2513 13821 33299",
    ),
    "whom the other branch took away learns of it": Found(
        2094,
        (3, 2, 1, 336),
        "-204 1015 1768 -1626 -109 -1611",
        "remove 39681 61255 33338, tighten 40546 5622 4617, courier 17454 33002 43271",
    ),
    "and learns of it from who has gone on": Found(
        1736,
        (3, 2, 1, 168),
        "-441 -1489 921 -1772 716 976",
        "relays 42929 20585 36934, cut 36810 3317 16317, everybody 35402 44338 48859, "
        "remove 60694 38164 12257, relays 15435 7275 4049, sync 62190 20127 28718",
    ),
    "and where a later change was adopted in between": Found(
        2235,
        (5, 2, 3, 168),
        "-707 252 -1629 -108 -750 -1770 1048 245",
        "race 47400 54582 17503, sync 60246 40203 44505, everybody 36923 48492 57085, "
        "remove 61355 24938 50904, remove 42664 61672 50471, say 37307 1488 19822, "
        "sync 20585 63067 57361, remove 16094 52985 43992, leave 26601 61917 21869, "
        "sync 53535 58695 41389",
    ),
    "whom the named rival took away goes": Found(
        2160,
        (5, 3, 2, 336),
        "1325 438 -1678 -592 885 1071 -1521 218",
        "admit 63321 37903 63064, cut 50058 59938 48449, race 53968 21234 16791, "
        "everybody 44343 21024 42269, role 45802 41416 54238",
    ),
    "two of three removed each other's followers": Found(
        40027,
        (6, 3, 3, 336),
        "-556 1773 -1745 322 -1681 1087 56 1162 -164",
        "remove 3181 40430 62551, race 4800 57996 53101, courier 57702 8393 34987",
    ),
    "who facilitates in one branch alone settles nothing": Found(
        2061,
        (5, 2, 2, 168),
        "206 -1295 1085 1438 190 1211 -1133 128",
        "admit 45001 57696 52049, turn 34824 23443 50277, role 53207 7937 47520, "
        "courier 20964 34425 45206, everybody 60141 11540 35744, days 32520 44809 57087",
    ),
    "who lost a role in the other branch shows where it is": Found(
        1897,
        (6, 2, 1, 336),
        "-1549 -1241 1022 -1232 1541 -869 -649 549 629",
        "tighten 53057 48105 59364, role 59854 32023 34786, courier 35827 41003 31674",
    ),
    "epochs of two branches have one number": Found(
        2433,
        (5, 3, 1, 336),
        "163 -544 -935 -1402 1143 1746 -295 -718",
        "relays 7609 26530 59183, sync 59171 12657 43432, remove 47712 51171 33228, "
        "turn 61378 41671 34338, courier 62075 27142 16695",
    ),
    "the drop in which there were rivals is not sealed after a day": Found(
        2433,
        (5, 3, 1, 336),
        "163 -544 -935 -1402 1143 1746 -295 -718",
        "remove 47712 51171 33228, turn 61378 41671 34338, courier 62075 27142 16695, "
        "sync 27056 58692 38123, everybody 37227 35019 63808, days 9073 39962 58026",
    ),
    "one branch is longer": Found(
        1147,
        (4, 3, 2, 336),
        "960 -639 -1117 361 -529 -129 93",
        "away 59748 61148 14876, race 45996 38212 9582, say 65515 61908 65315, "
        "sync 17841 12697 41098, courier 62430 33804 65359, sync 25895 253 16374, "
        "courier 24897 58710 9517, say 7865 7975 47922, tighten 62389 3350 6648, "
        "everybody 59819 4249 48397, tighten 55264 42111 24795",
    ),
    "what settles rivals comes to a drop that is sealed": Found(
        202,
        (6, 3, 2, 168),
        "-577 -604 -423 1744 84 1337 -808 -369 1349",
        "remove 10604 51107 41830, everybody 3456 65517 13270, everybody 8076 11465 65051, "
        "dies 59492 61573 30693, race 5550 54782 7873, sync 50398 15600 32936, "
        "sync 48147 54764 60961, sync 19460 6824 26321, turn 62060 44550 44778",
    ),
    "two who move apart from a dead relay": Found(
        804,
        (6, 3, 1, 336),
        "-872 -888 -456 -1313 502 1242 151 496 1332",
        "dies 30148 50989 26346, away 45072 32648 21465, relays 24680 31522 41506",
    ),
    "a removal that lost takes no place away": Found(
        201397,
        (4, 3, 3, 168),
        "1264 1060 -1788 1650 192 1797 -1191",
        "race 3449 17810 21167, courier 56621 21883 51656",
    ),
    "nor where its issuer came over within the epoch": Found(
        220451,
        (4, 3, 3, 336),
        "1403 -752 -660 1561 -1092 1482 -1093",
        "days 57161 32303 57628, relays 37523 5258 44873, sync 12631 59668 47065, "
        "say 49816 16650 8133, sync 52528 21985 23460, relays 16128 29969 45918, "
        "sync 19213 23953 12248, race 21491 52634 58346, everybody 55757 24287 24307",
    ),
    "it may stand after all": Found(
        211580,
        (4, 3, 1, 336),
        "1155 988 845 -228 188 666 -681",
        "admit 15663 55608 11431, race 40209 28856 31177, courier 30077 54531 31290",
    ),
    "a removal that came first is followed by nobody whom it takes away": Found(
        300009,
        (6, 3, 1, 336),
        "-1714 -426 568 1686 1290 -255 1463 -808 -153",
        "remove 23968 11076 63674, sync 62683 14403 45676, race 33170 12109 55834",
    ),
    "one by who has left stands once somebody is behind it": Found(
        202564,
        (3, 1, 2, 168),
        "1456 171 -187 -539 1064 1696",
        "say 20839 11234 27548, sync 63555 48456 47096, role 51633 51582 7320, "
        "say 31157 16762 63898, away 55303 47918 3306, relays 43049 55258 12439, "
        "unsent 25424 28542 5117, say 38709 33767 29208, sync 5754 41127 54980, "
        "say 58131 60589 12680, sync 46616 8151 7006, hours 31952 36194 21422, "
        "away 56643 2269 20267, everybody 43900 741 3294, remove 58177 16914 45963, "
        "leave 21172 45793 5096, days 9460 27446 7168, everybody 29506 45620 26568",
    ),
    "an echo counts though all others have gone on": Found(
        203368,
        (5, 2, 3, 168),
        "1786 927 629 716 158 1504 -218 -1519",
        "relays 51541 15044 11543, turn 29874 26518 13326, sync 38641 34326 37137, "
        "relays 62535 62176 26422, courier 56355 30624 32686",
    ),
    "and before one has come to its version": Found(
        211676,
        (4, 2, 1, 336),
        "-340 160 -1512 -1575 368 -1768 724",
        "role 26365 51363 31631, admit 12562 43829 16836, courier 47506 61767 43678, "
        "away 13831 25611 32700, say 41500 2629 58952, race 51984 60113 54294",
    ),
    "and of who has lost a role": Found(
        211130,
        (4, 2, 2, 336),
        "-1288 -1713 -972 450 -597 1489 -960",
        "admit 9754 10125 60710, turn 59386 36560 43615, sync 34325 32294 27262, "
        "turn 6271 16870 23201, role 11802 10223 49218, courier 27386 27703 62599",
    ),
    "whom the other branch took away where it does not read is gone": Found(
        210931,
        (6, 3, 2, 336),
        "-1235 -1604 1178 -629 -261 1257 808 337 -146",
        "cut 57954 62575 19618, admit 47594 908 38634, race 37676 57212 35421, "
        "sync 49877 64731 38903, sync 52333 47519 24197, remove 29404 21975 57936, "
        "courier 46956 46602 25783",
    ),
    "what no relay of an epoch has taken is said again in the next": Found(
        201144,
        (4, 1, 1, 168),
        "833 492 -1593 1088 -1414 352 -605",
        "race 42409 56413 14237, sync 13718 57656 59971, admit 485 51136 38548, "
        "relays 53530 20254 17695, sync 10262 48712 27708, dies 21864 37347 52051, "
        "say 9297 3788 9063, sync 47922 17204 31154",
    ),
}


@pytest.mark.parametrize("what", FOUND)
def test_branches_come_together(what: str) -> None:
    run(FOUND[what].schedule())
