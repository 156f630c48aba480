"""From what has just been stored to what the desk sees: assess, foresee, value, each result an evidence row that can be computed again."""
