import asyncio
from tests.e2e import test_reasons as t
async def test_dbg(country):
    for one in t.CASES:
        if one.where == t.BELOW:
            bad = await one.make(country)
            r = bad.rogue
            await r.send(bad.entry, certificates=bad.certificates)
            await asyncio.sleep(2)
            print(one.name, r._task, r.taken, r.refusals, r.noted)
            await country.let_go()
    for o in r.objects: print(type(o).__name__, str(o)[:300])
    for row in await country.at[t.BELOW].rows("select stream,number,frame,placed from entry"): print(dict(row))
    for row in await country.at[t.BELOW].rows("select * from incident"): print(dict(row))
    print(country.at[t.BELOW].log[-1500:])
