"""What was agreed and what is held: deals with versions, delivery schedules, positions. Pure values; prices and P&L are cloud/risk's."""
