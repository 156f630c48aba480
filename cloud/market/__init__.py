"""Market: quotes, forward curves, seasons, calendars, factor models and the history they are estimated from. All pure.

Lower than trading and risk; knows no deal, no position and no asset. Booked prices are Decimal (`quotes`), estimates are
float64 arrays. NaN and infinity never leave a function: what cannot be computed is refused with a MarketError.
"""
