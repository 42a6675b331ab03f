import xml.etree.ElementTree as ET

from netvlad.reports.figures import round_metres, scale_bar


def test_the_scale_bar_is_as_long_as_it_says():
    lengths = (0.3, 1.0, 1.9, 7.0, 49.9, 50.0, 4999.0)
    assert [round_metres(m) for m in lengths] == [1, 1, 1, 5, 20, 50, 2000]
    bar, text = ET.fromstring(f"<svg>{scale_bar(2000, 0.05, 90)}</svg>")
    start, end = (float(part.split("V")[0].split()[0]) for part in bar.get("d")[1:].split("H"))
    assert end - start == 100
    assert text.text == "2 km"
