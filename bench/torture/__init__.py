"""`make torture`: real mail into a real Dovecot while everything of the hub is killed at its worst moments.

    points     the moments, by name, and the row of docs/states.md that each stands for
    wounds     put into the hub's own processes from outside (`hooks/`, on their PYTHONPATH): the kills at those moments
    post       the letters, and what must become of each; postman brings them
    crew       the processes of one site: started, killed, started again; nursery starts them quickly
    ground     what is under the hub: the database and the broker, restarted and emptied
    campaign   the story: deliver, wound, restart, settle
    facts      what is there when all has settled
    verdict    what was promised against what is there
    history    what happened, in order, to be read afterwards

docs/torture.md says how to read it.
"""
