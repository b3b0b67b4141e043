from aibrix_mw.simulation.loop import Loop


def test_events_happen_in_the_order_of_their_instants_and_of_their_making():
    loop, seen = Loop(), []
    for time, name in ((2.0, "c"), (1.0, "a"), (1.0, "b")):
        loop.at(time, lambda name: seen.append((name, loop())), name)
    loop.run()
    assert seen == [("a", 1.0), ("b", 1.0), ("c", 2.0)]


def test_an_event_makes_others_and_the_past_is_now():
    loop, seen = Loop(), []

    def first():
        loop.at(0.0, lambda: seen.append(loop.now))
        loop.at(5.0, lambda: seen.append(loop.now))

    loop.at(3.0, first)
    loop.run()
    assert seen == [3.0, 5.0]
