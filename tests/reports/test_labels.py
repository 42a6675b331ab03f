from netvlad.reports.labels import Box, Label, box_around, first_free

FRAME = Box(0, 0, 200, 100)


def test_the_first_place_that_is_free_and_inside_is_taken():
    outside = Label("wide text", 180, 50)
    covered = Label("wide text", 60, 50, "middle")
    free = Label("wide text", 10, 20)
    assert first_free([outside, covered, free], [box_around(60, 48, 3)], FRAME) is free
    assert first_free([outside, covered], [box_around(60, 48, 3)], FRAME) is None
    assert first_free([covered], [], FRAME) is covered


def test_the_anchor_moves_the_box_and_text_is_escaped():
    start, middle, end = (
        Label("abcd", 100, 50, anchor).box for anchor in ("start", "middle", "end")
    )
    assert start.left == 100 == end.right
    assert middle.left + middle.right == 200
    assert start.top < 50 < start.bottom
    assert "a&lt;b" in Label("a<b", 0, 0).to_svg("name")


def test_boxes_that_only_touch_do_not_overlap():
    box = Box(0, 0, 10, 10)
    assert not box.overlaps(Box(10, 0, 20, 10))
    assert box.overlaps(Box(9, 9, 20, 20))
    assert box.overlaps(Box(2, 2, 3, 3))
